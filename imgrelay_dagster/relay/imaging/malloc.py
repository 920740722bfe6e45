"""What the C library does with the memory that pixels lay in."""

import ctypes
from contextlib import suppress

KEPT = 64 << 20
"""Bytes at most that each thread keeps for the next picture: 16 million pixels."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3), M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
_LARGEST_MMAP_THRESHOLD = 32 << 20


def keep_freed_pixels() -> None:
    """Keep for the next picture what was freed, in this process and from now on.

    glibc would give an image's memory back and take it again for the next one, page by page and each one cleared: a
    twelfth of the CPU time of a photograph. Other C libraries have no such setting, and none is made there.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, KEPT)
