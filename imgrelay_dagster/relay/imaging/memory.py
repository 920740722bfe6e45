"""Recognises errors that say that memory is short, which libraries report under many names."""

import mmap
import re

_SHORTAGE = re.compile(
    r"out of memory|cannot allocate memory|memory allocation|not enough memory|insufficient memory|encoder error -9"
    r"|decoder error -9",
    re.IGNORECASE,
)
"""Pillow's text for its code -9, libavif's and the C library's; for encoders Pillow shows only the number."""


def is_memory_shortage(error: BaseException) -> bool:
    """Whether an error, or one that caused it, says that memory is short."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, MemoryError) or _SHORTAGE.search(str(cause)):
            return True
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False


def is_available(size: int) -> bool:
    """Whether so many bytes of memory could be allocated now.

    Decoders also report a lack of memory as a broken file. Where the system grants more memory than there is, as Linux
    does by default, this is True: memory is then short only if a limit of the process is reached.
    """
    try:
        mmap.mmap(-1, size).close()
    except OSError:
        return False
    return True
