"""TIFF files of several directories, as cameras and scanners write them and Pillow does not."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

THUMBNAIL = {254: 1}
"""`NewSubfileType`: a smaller version of another page."""

SUBDIRECTORIES = 330
_LONG, _LONG8 = 4, 16


@dataclass(frozen=True)
class Directory:
    """One directory: an RGB picture without compression, further fields of one number, and directories below it."""

    picture: Image.Image
    fields: dict[int, int] = field(default_factory=dict)
    below: Sequence["Directory"] = ()


def tiff(pages: Sequence[Directory], *, big: bool = False, order: str = "<") -> bytes:
    """Return a TIFF, or a BigTIFF, of a chain of pages. `order` is `<` or `>`, as in `struct`."""
    mark = {"<": b"II", ">": b"MM"}[order]
    number = order + ("Q" if big else "I")
    data = bytearray(mark + (struct.pack(order + "HHHQ", 43, 8, 0, 0) if big else struct.pack(order + "HI", 42, 0)))
    pointer = len(data) - struct.calcsize(number)
    for page in pages:
        start, following = _add(data, page, big, order)
        struct.pack_into(number, data, pointer, start)
        pointer = following
    return bytes(data)


def _add(data: bytearray, page: Directory, big: bool, order: str) -> tuple[int, int]:
    """Append a directory and what belongs to it; returns where it starts and where its link to the next is."""
    below = [_add(data, directory, big, order)[0] for directory in page.below]
    pixels = page.picture.tobytes()
    strip, width, height = len(data), *page.picture.size
    data += pixels
    bits = len(data)
    data += struct.pack(order + "4H", 8, 8, 8, 0)
    fields = {256: width, 257: height, 259: 1, 262: 2, 273: strip, 277: 3, 278: height, 279: len(pixels), **page.fields}
    if below:
        fields[SUBDIRECTORIES] = below[0]
    kind, number, head = (_LONG8, "Q", "HHQ") if big else (_LONG, "I", "HHI")
    rows = [struct.pack(order + head, tag, kind, 1) + struct.pack(order + number, fields[tag]) for tag in fields]
    in_place = struct.pack(order + "4H", 8, 8, 8, 0) if big else struct.pack(order + "I", bits)
    rows.append(struct.pack(order + head, 258, 3, 3) + in_place)
    start = len(data)
    data += struct.pack(order + ("Q" if big else "H"), len(rows))
    data += b"".join(sorted(rows, key=lambda row: struct.unpack_from(order + "H", row)[0]))
    following = len(data)
    data += struct.pack(order + number, 0)
    return start, following
