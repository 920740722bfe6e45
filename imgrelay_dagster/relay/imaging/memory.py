"""Recognises errors that say that memory is short, which libraries report under many names."""

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
