"""The segments of a JPEG file (ITU T.81, annex B)."""

import re
from collections.abc import Iterator

START_OF_IMAGE, START_OF_SCAN, END_OF_IMAGE = 0xD8, 0xDA, 0xD9
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers; their segments begin with precision, height, width and number of colours."""

PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})

_WITHOUT_SEGMENT = (0x01, START_OF_IMAGE)
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)  # `\xff+` would backtrack


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the markers up to the end of the first image.

    Each comes with the offset of its segment's length, and the number of bytes skipped before it.
    """
    offset = 2
    while found := _MARKER.search(data, offset):
        skipped, offset = found.start() - offset, found.end()
        marker = data[offset - 1]
        if marker == END_OF_IMAGE or offset + 2 > len(data):
            return
        yield marker, offset, skipped
        if marker not in _WITHOUT_SEGMENT:
            offset += max(2, data[offset] << 8 | data[offset + 1])


def end_of_image(data: bytes) -> int:
    """Return where the end marker of the first image stands; where it is missing, the length of the data."""
    scan = 2
    for marker, offset, _ in segments(data):
        length = 0 if marker in _WITHOUT_SEGMENT else max(2, int.from_bytes(data[offset : offset + 2]))
        scan = offset + length
    found = _MARKER.search(data, scan)
    return found.start() if found and data[found.end() - 1] == END_OF_IMAGE else len(data)


def first_image(data: bytes, scan: int) -> bytes:
    """Return the data without a second image that begins where the end marker of the first one is missing.

    libjpeg refuses both then; browsers have shown the first one by that time.

    Args:
        scan: where the first scan begins; a second start marker in front of it is refused by browsers, too.
    """
    start = data.find(b"\xff\xd8\xff", scan)
    if start < 0 or data.find(b"\xff\xd9", scan, start) >= 0:
        return data
    ends = (offset - 2 for marker, offset, _ in segments(data) if marker == START_OF_IMAGE and offset > scan)
    return data[: next(ends, len(data))]
