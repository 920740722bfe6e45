"""Settings of the C library's memory allocator for threads that process images. No effect with other libraries."""

import ctypes
from contextlib import suppress

KEPT_BYTES = 64 << 20
"""Freed bytes that each thread may keep for its next image: 16 million pixels."""

LARGE_BLOCK = 1 << 20
"""Bytes from which a block is returned to the kernel as soon as it is freed, after `return_freed_memory`."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3), M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
_MAX_MMAP_THRESHOLD = 32 << 20


def keep_freed_memory() -> None:
    """Make this process keep freed memory for the next image, from now on.

    By default glibc returns an image's memory to the kernel and requests it again for the next image, and the kernel
    clears each page: a twelfth of the CPU time for a photograph.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _MAX_MMAP_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)


def return_freed_memory() -> None:
    """Make this process return large blocks to the kernel when they are freed, from now on.

    By default glibc raises the size of such blocks to that of the largest one that was freed, up to 32 MiB, and then
    keeps smaller ones, for each thread.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, LARGE_BLOCK)


def trim_memory() -> None:
    """Return the freed memory of all threads to the kernel, once."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
