"""The boxes of JPEG 2000 and JPEG XL files (ITU-T T.800, I.4)."""

import struct
from collections.abc import Iterator

MAX_BOXES = 1_000
"""Boxes that are read; a picture has about ten."""


def read_boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, the start of the content and the end of each box in this part of the file, until it is cut off.

    The end may lie behind that of the file.
    """
    end = len(data) if end is None else min(end, len(data))
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if length == 1 and start + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        elif length == 0:
            length = end - start
        if length < header:
            return
        yield kind, start + header, start + length
        start += length
