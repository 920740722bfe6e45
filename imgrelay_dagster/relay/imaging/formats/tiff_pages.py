"""Find the page of a TIFF that is its picture, and recognise the raw files of cameras, which are TIFFs too.

The first page of some files is a thumbnail of a later one (`NewSubfileType`, TIFF 6.0, section 8). In a raw file of a
camera the picture is none that a TIFF reader can show: sensor data, in a directory of its own below the first
(`SubIFDs`, TIFF/EP and the DNG specification). Readers that take the first page then show the thumbnail.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SUBFILE_TYPE, _PHOTOMETRIC, _SUBDIRECTORIES, _DNG_VERSION = 254, 262, 330, 50706
_REDUCED = 1
"""The bit of `NewSubfileType` that says that the page is a smaller version of another one."""

_SENSOR_DATA = (32803, 34892)
"""`PhotometricInterpretation` of sensor data: colour filter array, linear raw."""

_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""By field type, the `struct` format of an unsigned number."""

_CR2 = re.compile(rb"II\*\0\x10\0\0\0CR\x02")
_IIQ = re.compile(rb".{8}(?:IIII.waR|MMMMRaw)", re.DOTALL)
"""How the files of Canon and Phase One begin. Other TIFFs may have pixels there."""

MAX_FIELDS = 1_000
MAX_PAGES = 16
"""Pages that are looked at for one that is no thumbnail."""


@dataclass(frozen=True, slots=True)
class Page:
    """One directory of a TIFF.

    Attributes:
        numbers: by tag, the value of each field that holds one unsigned number.
        tags: the tags of all fields.
    """

    numbers: dict[int, int]
    tags: frozenset[int]

    @property
    def is_thumbnail(self) -> bool:
        """Whether it says that it is a smaller version of another page."""
        return bool(self.numbers.get(_SUBFILE_TYPE, 0) & _REDUCED)


def picture_page(data: bytes) -> tuple[int, Page]:
    """Return the index, from 0, and the directory of the first page that is no thumbnail; the first page if all are.

    Raises:
        IndexError, struct.error: the file ends within its first directory.
    """
    pages = _pages(data)
    first = next(pages)
    if not first.is_thumbnail:
        return 0, first
    try:
        return next(((index, page) for index, page in enumerate(pages, 1) if not page.is_thumbnail), (0, first))
    except (IndexError, OverflowError, struct.error):  # the chain of pages is broken behind the first
        return 0, first


def raw_name(data: bytes) -> str | None:
    """Return the name of a camera's raw file, such as `a camera raw picture (DNG)`; None for any other TIFF.

    Raises:
        IndexError, struct.error: the file ends within its first directory.
    """
    if _CR2.match(data):
        return "a camera raw picture (CR2)"
    if _IIQ.match(data):
        return "a camera raw picture (IIQ)"
    first, (_, picture) = next(_pages(data)), picture_page(data)
    if _DNG_VERSION in first.tags:
        return "a camera raw picture (DNG)"
    is_below = first.is_thumbnail and _SUBDIRECTORIES in first.tags
    return "a camera raw picture" if is_below or picture.numbers.get(_PHOTOMETRIC) in _SENSOR_DATA else None


def _pages(data: bytes) -> Iterator[Page]:
    """Read the directories of the chain of pages, of a TIFF or a BigTIFF."""
    order = "<" if data.startswith(b"II") else ">"
    is_big = 43 in data[2:4]
    offset_format, count_format, size = (order + "Q", order + "Q", 20) if is_big else (order + "I", order + "H", 12)
    (offset,) = struct.unpack_from(offset_format, data, 8 if is_big else 4)
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < MAX_PAGES:
        seen.add(offset)
        (count,) = struct.unpack_from(count_format, data, offset)
        start = offset + struct.calcsize(count_format)
        yield _read_page(data, order, start, min(count, MAX_FIELDS), is_big)
        (offset,) = struct.unpack_from(offset_format, data, start + size * count)


def _read_page(data: bytes, order: str, start: int, fields: int, is_big: bool) -> Page:
    field_format = order + ("HHQ" if is_big else "HHI")
    header = struct.calcsize(field_format)
    size = header + (8 if is_big else 4)
    numbers: dict[int, int] = {}
    tags: set[int] = set()
    for at in range(start, start + size * fields, size):
        tag, kind, values = struct.unpack_from(field_format, data, at)
        tags.add(tag)
        if values == 1 and kind in _NUMBERS:
            numbers.setdefault(tag, struct.unpack_from(order + _NUMBERS[kind], data, at + header)[0])
    return Page(numbers, frozenset(tags))
