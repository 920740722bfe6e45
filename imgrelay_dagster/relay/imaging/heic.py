"""What a HEIC file costs to decode, from its boxes and the headers of its bitstreams.

The boxes state a size, too, and the bits of a sample. What the bitstreams say counts: it is what a decoder allocates.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.hevc import BLOCK, Sequence, configured_units, read_sequences, stored_units
from imgrelay_dagster.relay.imaging.isobmff import ItemFile, read_items
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.outcomes import Reason

MAX_UNITS = 100_000
"""Units of all bitstreams together. A picture of 48 megapixels in 200 tiles has about 200."""

_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")


@dataclass(frozen=True, slots=True)
class HeicFile:
    """What a file says.

    Attributes:
        size: width and height in pixels of the picture that its container states; None if it states none.
        coded_pixels: the pixels that its bitstreams state; they may be more. 0 if they cannot be read.
        has_alpha: whether it has an alpha channel.
        chroma: the fullest sampling of its bitstreams (`hevc.Sequence`).
        depth: the most bits of a sample.
    """

    size: Size | None
    coded_pixels: int
    has_alpha: bool
    chroma: int
    depth: int


def read_heic(data: bytes) -> HeicFile:
    """Read a file's boxes and headers; takes a tenth of a millisecond and allocates no pixels.

    Raises:
        EntryFailure: `too_costly`, the file has more entries than a picture needs; `corrupt_image`, it ends within a
            box, or a bitstream has larger pictures or other samples than its boxes state.
    """
    try:
        return _Reader(data, read_items(data)).read()
    except (IndexError, struct.error) as error:
        raise EntryFailure(Reason.CORRUPT_IMAGE, f"the HEIC ends within its header, after {len(data)} bytes") from error


class _Reader:
    def __init__(self, data: bytes, file: ItemFile) -> None:
        self._data, self._file = data, file
        self._sequences: dict[int, list[Sequence]] = {}
        self._configured: dict[bytes, list[Sequence]] = {}
        self._units = 0
        self._copied = 0

    def read(self) -> HeicFile:
        primary = self._file.primary
        if primary is None:
            return HeicFile(None, 0, has_alpha=False, chroma=0, depth=8)
        references = self._file.references.items()
        alphas = [item for (kind, item), of in references if kind == b"auxl" and primary in of and self._is_alpha(item)]
        coded = max(self._pixels(item) for item in (primary, *alphas))
        found = [sequence for sequences in self._sequences.values() for sequence in sequences]
        return HeicFile(
            self._file.size_of(primary),
            coded,
            has_alpha=bool(alphas),
            chroma=max((sequence.chroma for sequence in found), default=0),
            depth=max((sequence.depth for sequence in found), default=8),
        )

    def _is_alpha(self, item: int) -> bool:
        return any(content[4:].startswith(_ALPHA) for content in self._file.properties_of(item, b"auxC"))

    def _pixels(self, item: int) -> int:
        """The coded pixels of an item, or of those that it is made of, without what stands out over the picture."""
        parts = list(dict.fromkeys(self._file.references.get((b"dimg", item), [])))
        if not parts:
            return self._coded_pixels(item)
        pixels = sum(map(self._coded_pixels, parts))
        if self._file.item_types.get(item) == b"grid":
            pixels -= self._overhang(item, self._file.size_of(parts[0]))
        return max(0, pixels)

    def _overhang(self, item: int, tile: Size | None) -> int:
        """The pixels of the last row and column of tiles that stand out over the picture."""
        size = self._file.size_of(item)
        if size is None or tile is None or 0 in tile:
            return 0
        columns, rows = -(-size[0] // tile[0]), -(-size[1] // tile[1])
        return columns * rows * tile[0] * tile[1] - size[0] * size[1]

    def _coded_pixels(self, item: int) -> int:
        if item not in self._sequences:
            self._sequences[item] = self._read_sequences(item)
            for sequence in self._sequences[item]:
                self._check_size(item, sequence)
        return max(map(_counted_pixels, self._sequences[item]), default=0)

    def _read_sequences(self, item: int) -> list[Sequence]:
        """What the configuration of an item and the units beside its pixels say."""
        found: list[Sequence] = []
        depths: set[int] = set()
        length_size = 4
        for configuration in self._file.properties_of(item, b"hvcC"):
            length_size = 1 + (configuration[21] & 3)
            if configuration not in self._configured:  # all tiles of a picture have the same
                self._configured[configuration] = read_sequences(self._counted(configured_units(configuration)))
            found += self._configured[configuration]
            depths.add(8 + max(configuration[17] & 7, configuration[18] & 7))
        found += read_sequences(self._counted(stored_units(self._content(item), length_size)))
        for sequence in found:
            if depths and sequence.depth not in depths:
                detail = f"the HEIC states {depths.pop()} bits a sample, its bitstream has {sequence.depth}"
                raise EntryFailure(Reason.CORRUPT_IMAGE, detail)
        return found

    def _check_size(self, item: int, sequence: Sequence) -> None:
        stated = self._file.size_of(item)
        if stated is not None and any(coded >= side + BLOCK for coded, side in zip(sequence.size, stated, strict=True)):
            (width, height), size = stated, sequence.size
            detail = f"the HEIC states {width}x{height} pixels, its bitstream has {size[0]}x{size[1]}"
            raise EntryFailure(Reason.CORRUPT_IMAGE, detail)

    def _counted(self, units: Iterator[bytes]) -> Iterator[bytes]:
        for unit in units:
            self._units += 1
            if self._units > MAX_UNITS:
                detail = f"the file has more than {MAX_UNITS:,} units of bitstreams, which no picture needs"
                raise EntryFailure(Reason.TOO_COSTLY, detail)
            yield unit

    def _content(self, item: int) -> memoryview:
        """The bytes of an item; if they are in several parts, a copy."""
        extents = self._file.extents.get(item) or []
        if len(extents) == 1:
            ((offset, length),) = extents
            return memoryview(self._data)[offset : offset + length if length else len(self._data)]
        self._copied += sum(length or len(self._data) for _, length in extents)
        if self._copied > 2 * len(self._data):
            raise EntryFailure(Reason.TOO_COSTLY, "the parts of the file overlap, which those of no picture do")
        return memoryview(b"".join(self._data[offset : offset + length] for offset, length in extents))


def _counted_pixels(sequence: Sequence) -> int:
    """The pixels that are allocated, without blocks that stand out over the picture by less than their side."""
    width, height = (max(shown, coded - BLOCK + 1) for shown, coded in zip(sequence.size, sequence.coded, strict=True))
    return width * height
