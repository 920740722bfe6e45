"""The boxes of AVIF and HEIF files (ISO/IEC 14496-12 and 23008-12) that Pillow does not report."""

import struct
from collections.abc import Iterator

from imgrelay_dagster.relay.imaging.formats.picture import CodePoints

_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}
MAX_BOXES = 10_000


def code_points(data: bytes) -> CodePoints | None:
    """Return the code points of the first colour property; None when there is none."""
    for offset, end in _properties(data):
        if data[offset : offset + 4] == b"nclx" and offset + 8 <= end:
            return CodePoints(*struct.unpack_from(">HH", data, offset + 4))
    return None


def _properties(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of the content of each `colr` box among the item properties."""
    pending, seen = [(0, len(data))], 0
    while pending:
        offset, end = pending.pop()
        while offset + 8 <= end and seen < MAX_BOXES:
            seen += 1
            length, kind = struct.unpack_from(">I4s", data, offset)
            length = length or end - offset
            if kind == b"colr":
                yield offset + 8, min(end, offset + length)
            elif kind in _CONTAINERS:
                pending.append((offset + 8 + _CONTAINERS[kind], min(end, offset + length)))
            if length < 8:
                break
            offset += length
