"""A bounded reader of the boxes of an image file: ISO/IEC 14496-12 (boxes, tracks) and 23008-12 (items).

AVIF and HEIF files have this structure. Decoders search their lists of items and properties once for each entry, so a
file of a few megabytes with hundreds of thousands of entries keeps a decoder busy for minutes. This reader passes over
the file once, and refuses a file with more entries than any picture needs before a decoder sees it.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.outcomes import Reason

MAX_BOXES = 10_000
"""Boxes in a file. A picture of 48 megapixels from a telephone, in 200 tiles, has about 300."""

MAX_ENTRIES = 4_000
"""Items, extents, associations of properties, or references in a file, each. That picture has about 400."""

MAX_SAMPLES = 200_000
"""Frames of an image sequence: two hours at 25 a second."""

MAX_DEPTH = 8
"""Boxes within boxes."""

_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}
"""Boxes whose content is boxes, and the bytes before them."""

_TABLES = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4, b"elst": 12}
"""Tables of a track, and the bytes of an entry. `stsz` is read separately: its entries may have no bytes."""


@dataclass(slots=True)
class ItemFile:
    """What the boxes of a file say.

    Attributes:
        primary: the id of the item to show; None if the file does not say.
        item_types: by item, its type, such as `av01` or `grid`.
        properties: all properties in the file's order, as pairs of type and content.
        associations: by item, the numbers (from 1) of its properties.
        extents: by item, the parts of its data as pairs of offset and length in the file; a length of 0 means the rest
            of the file. None for data that is not in the file itself.
        references: by type and item, the items that it refers to.
        track_sizes: the sizes of the pictures in tracks.
        track_data: the offset of each track's first chunk of pictures.
    """

    primary: int | None = None
    item_types: dict[int, bytes] = field(default_factory=dict)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    associations: dict[int, list[int]] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int]] | None] = field(default_factory=dict)
    references: dict[tuple[bytes, int], list[int]] = field(default_factory=dict)
    track_sizes: list[Size] = field(default_factory=list)
    track_data: list[int] = field(default_factory=list)

    def properties_of(self, item: int, kind: bytes) -> list[bytes]:
        """The contents of an item's properties of this type."""
        numbers = [number for number in self.associations.get(item, ()) if 0 < number <= len(self.properties)]
        return [content for found, content in (self.properties[number - 1] for number in numbers) if found == kind]

    def size_of(self, item: int) -> Size | None:
        """Width and height in pixels that the file states for an item (`ispe`)."""
        for content in self.properties_of(item, b"ispe"):
            width, height = struct.unpack_from(">II", content, 4)
            return width, height
        return None

    def data_of(self, data: bytes, item: int, limit: int) -> bytes:
        """The first `limit` bytes of an item's data; nothing if they are not in the file."""
        found = b""
        for offset, length in self.extents.get(item) or ():
            end = offset + limit - len(found)
            found += data[offset : min(end, offset + length) if length else end]
            if len(found) >= limit:
                break
        return found


def read_items(data: bytes) -> ItemFile:
    """Read the boxes of a file.

    Raises:
        EntryFailure: `too_costly`, the file has more entries than a picture needs.
        struct.error, IndexError: the file ends within a box.
    """
    return _Reader(data).read()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._file = ItemFile()
        self._counts: Counter[str] = Counter()
        self._item_data_start: int | None = None

    def read(self) -> ItemFile:
        self._read_boxes(0, len(self._data), 0)
        return self._file

    def _count(self, what: str, number: int, limit: int = MAX_ENTRIES) -> None:
        self._counts[what] += number
        if self._counts[what] > limit:
            detail = f"the file has more than {limit:,} {what}, which no picture needs"
            raise EntryFailure(Reason.TOO_COSTLY, detail)

    def _boxes(self, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Yield the type, the start of the content and the end of each box in this part of the file."""
        while start + 8 <= end:
            self._count("boxes", 1, MAX_BOXES)
            size, kind = struct.unpack_from(">I4s", self._data, start)
            header = 8
            if size == 1:
                (size,) = struct.unpack_from(">Q", self._data, start + 8)
                header = 16
            elif size == 0:
                size = end - start
            if size < header:
                return
            yield kind, start + header, min(start + size, end)
            start += size

    def _read_boxes(self, start: int, end: int, depth: int) -> None:
        for kind, first, last in self._boxes(start, end):
            if kind == b"ipco":
                self._file.properties += [(name, self._data[at:to]) for name, at, to in self._boxes(first, last)]
            elif kind in _CONTAINERS and depth < MAX_DEPTH:
                self._read_boxes(first + _CONTAINERS[kind], last, depth + 1)
            elif kind in _TABLES and first + 8 <= last:
                (entries,) = struct.unpack_from(">I", self._data, first + 4)
                self._count("samples", min(entries, (last - first) // _TABLES[kind]), 4 * MAX_SAMPLES)
                if kind in (b"stco", b"co64") and entries:
                    offset = struct.unpack_from(">I" if kind == b"stco" else ">Q", self._data, first + 8)[0]
                    self._file.track_data.append(offset)
            else:
                reader = _READERS.get(kind)
                if reader is not None:
                    reader(self, first, last)

    def _read_primary(self, start: int, _: int) -> None:
        wide = self._data[start] > 0
        self._file.primary = struct.unpack_from(">I" if wide else ">H", self._data, start + 4)[0]

    def _read_item_data(self, start: int, _: int) -> None:
        self._item_data_start = start

    def _read_infos(self, start: int, end: int) -> None:
        first = start + (8 if self._data[start] else 6)
        for kind, at, _ in self._boxes(first, end):
            if kind != b"infe" or self._data[at] < 2:
                continue
            self._count("items", 1)
            wide = self._data[at] > 2
            item, _, name = struct.unpack_from(">IH4s" if wide else ">HH4s", self._data, at + 4)
            self._file.item_types[item] = name

    def _read_locations(self, start: int, end: int) -> None:
        data, version = self._data, self._data[start]
        offset_size, length_size = data[start + 4] >> 4, data[start + 4] & 15
        base_size, index_size = data[start + 5] >> 4, data[start + 5] & 15 if version else 0
        id_size = 4 if version > 1 else 2
        items, at = _integer(data, start + 6, id_size), start + 6 + id_size
        for _ in range(items):
            self._count("locations of items", 1)
            item, at = _integer(data, at, id_size), at + id_size
            method = 0
            if version:
                method, at = _integer(data, at, 2) & 15, at + 2
            base = _integer(data, at + 2, base_size)
            at += 2 + base_size
            extents: list[tuple[int, int]] = []
            count, at = _integer(data, at, 2), at + 2
            if at + count * (index_size + offset_size + length_size) > end:
                raise IndexError
            self._count("extents of items", count)
            for _ in range(count):
                at += index_size
                offset, length = _integer(data, at, offset_size), _integer(data, at + offset_size, length_size)
                at += offset_size + length_size
                extents.append((base + offset, length))
            self._file.extents[item] = extents if method == 0 else None
            if method == 1 and self._item_data_start is not None:
                self._file.extents[item] = [(self._item_data_start + offset, length) for offset, length in extents]

    def _read_associations(self, start: int, end: int) -> None:
        data, version, wide = self._data, self._data[start], self._data[start + 3] & 1
        (items,), at = struct.unpack_from(">I", data, start + 4), start + 8
        id_size, size = (4 if version else 2), (2 if wide else 1)
        for _ in range(items):
            item, at = _integer(data, at, id_size), at + id_size
            count, at = data[at], at + 1
            self._count("properties of items", 1 + count)
            numbers = [_integer(data, at + size * number, size) & (0x7FFF if wide else 0x7F) for number in range(count)]
            self._file.associations.setdefault(item, []).extend(numbers)
            at += size * count
            if at > end:
                raise IndexError

    def _read_references(self, start: int, end: int) -> None:
        wide = 4 if self._data[start] else 2
        for kind, at, last in self._boxes(start + 4, end):
            source, count = _integer(self._data, at, wide), _integer(self._data, at + wide, 2)
            first = at + wide + 2
            if first + count * wide > last:
                raise IndexError
            self._count("references", 1 + count)
            targets = [_integer(self._data, first + number * wide, wide) for number in range(count)]
            self._file.references.setdefault((kind, source), []).extend(targets)

    def _read_sizes(self, start: int, _: int) -> None:
        (samples,) = struct.unpack_from(">I", self._data, start + 8)
        self._count("samples", samples, 4 * MAX_SAMPLES)

    def _read_descriptions(self, start: int, end: int) -> None:
        for kind, at, last in self._boxes(start + 8, end):
            if kind in (b"av01", b"hvc1", b"hev1") and at + 28 <= last:
                width, height = struct.unpack_from(">HH", self._data, at + 24)
                self._file.track_sizes.append((width, height))


def _integer(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size], "big")


_READERS = {
    b"pitm": _Reader._read_primary,
    b"idat": _Reader._read_item_data,
    b"iinf": _Reader._read_infos,
    b"iloc": _Reader._read_locations,
    b"ipma": _Reader._read_associations,
    b"iref": _Reader._read_references,
    b"stsz": _Reader._read_sizes,
    b"stsd": _Reader._read_descriptions,
}
