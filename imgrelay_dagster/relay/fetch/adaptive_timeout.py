"""How long a download is waited for while others are waiting for its thread.

A hanging server costs its thread a whole read timeout, several times over, and its task cannot go on without it.
So what takes far longer than the task's other downloads is set aside, and gets its full time limits at the end of
the run, beside the others that were. A timeout there is its last try. So n URLs of one host that hang cost the end
of the run about n / (per_host * max_concurrent) times `read_timeout` where it is silent, `deadline` where it drips.
"""

import time
from collections.abc import Callable

LEAST = 1.5
"""Seconds that any download is given."""

FACTOR = 5.0
"""How many times the average of the finished downloads one is given."""

UNKNOWN = 10.0
"""Seconds while fewer than `ENOUGH` downloads have finished; less with each that hung meanwhile."""

ENOUGH = 3


class AdaptiveTimeout:
    """The patience with one task's downloads; shared by its threads."""

    def __init__(self) -> None:
        self._finished = 0
        self._total = 0.0
        self._hung = 0

    def took(self, seconds: float) -> None:
        """Take note of a finished download."""
        self._finished += 1
        self._total += seconds

    def hung(self) -> None:
        """Take note of a download that was set aside, or timed out."""
        self._hung += 1

    def __call__(self) -> float:
        """Seconds that a download may take at this moment."""
        if self._finished < ENOUGH:
            return max(LEAST, UNKNOWN / (1 + self._hung))
        return max(LEAST, FACTOR * self._total / self._finished)


class Stopwatch:
    """The time that one download takes, all its tries together; waiting for its turn at a host does not count.

    Args:
        patience: seconds after which it is set aside; None for ever.
    """

    def __init__(self, patience: Callable[[], float] | None = None) -> None:
        self._patience = patience
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds taken so far."""
        return time.monotonic() - self._began

    def leave_out(self, seconds: float) -> None:
        """Do not count the last so many seconds."""
        self._began += seconds

    def out_of_patience(self, wait: float = 0.0) -> bool:
        """Whether it is to be set aside, now or before the end of a wait of so many seconds."""
        return self._patience is not None and self.seconds + wait >= self._patience()
