"""How long a download is waited for while others are waiting for its thread.

A hanging server costs its thread a whole read timeout, several times over, and its task cannot go on without it.
So what takes far longer than the task's other downloads is set aside, and gets its full time limits at the end of
the run, beside the others that were.
"""

LEAST = 2.0
"""Seconds that any download is given."""

FACTOR = 5.0
"""How many times the average of the finished downloads one is given."""

UNKNOWN = 10.0
"""Seconds while fewer than `ENOUGH` downloads have finished."""

ENOUGH = 3


class Patience:
    """The patience with one task's downloads; shared by its threads."""

    def __init__(self) -> None:
        self._finished = 0
        self._total = 0.0

    def took(self, seconds: float) -> None:
        """Take note of a finished download."""
        self._finished += 1
        self._total += seconds

    def __call__(self) -> float:
        """Seconds that a download may take at this moment."""
        if self._finished < ENOUGH:
            return UNKNOWN
        return max(LEAST, FACTOR * self._total / self._finished)
