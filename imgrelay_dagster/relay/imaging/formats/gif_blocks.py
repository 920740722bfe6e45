"""The blocks of a GIF file (GIF89a specification)."""

import struct

MAX_STEPS = 50_000
"""Blocks that are walked to count frames: 12 MB of a usual animation, in a hundredth of a second."""

_IMAGE, _EXTENSION, _TRAILER = b",!;"


def first_frame(data: bytes) -> tuple[int, int, int, int]:
    """Return the box of the first frame on the screen.

    Raises IndexError, ValueError or struct.error when the file has none.
    """
    offset = _first_block(data)
    while data[offset] != _IMAGE:
        if data[offset] == _TRAILER:
            raise ValueError("it ends before the first frame")
        if data[offset] == _EXTENSION:
            offset += 2
            while data[offset]:
                offset += 1 + data[offset]
        offset += 1
    left, top, width, height = struct.unpack_from("<HHHH", data, offset + 1)
    return left, top, left + width, top + height


def count_frames(data: bytes) -> int | None:
    """Return the number of frames, at least 1; None when the file has more than `MAX_STEPS` blocks."""
    offset, frames, steps = _first_block(data), 0, 0
    try:
        while data[offset] != _TRAILER and steps < MAX_STEPS:
            steps += 1
            if data[offset] == _IMAGE:
                frames += 1
                flags = data[offset + 9]
                offset += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
            elif data[offset] == _EXTENSION:
                offset += 2
            while (length := data[offset]) and steps < MAX_STEPS:
                offset += 1 + length
                steps += 1
            offset += 1
    except IndexError:
        pass
    return max(1, frames) if steps < MAX_STEPS else None


def _first_block(data: bytes) -> int:
    return 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
