"""How long a task waits for one download before it defers it.

A hanging server blocks a thread for a whole read timeout, several times with retries, and the task cannot finish
before. So a download that takes far longer than the task's other downloads is deferred to the end of the run, where it
gets its full time limits, in parallel with the other deferred downloads. A timeout there is final. So n hanging URLs
of one host add about n / (per_host * max_concurrent) times `read_timeout` (for a silent server) or `deadline` (for a
server that sends a few bytes at a time) to the run.
"""

import time
from collections.abc import Callable

MIN_TIMEOUT = 1.5
"""Seconds that every download gets at least."""

AVERAGE_FACTOR = 5.0
"""The timeout, in multiples of the average duration of the finished downloads."""

INITIAL_TIMEOUT = 10.0
"""Seconds while fewer than `MIN_SAMPLES` downloads have finished; divided by one plus the number that timed out."""

MIN_SAMPLES = 3


class AdaptiveTimeout:
    """The timeout for one task's downloads; shared by its threads."""

    def __init__(self) -> None:
        self._finished = 0
        self._total = 0.0
        self._timed_out = 0

    def record_duration(self, seconds: float) -> None:
        """Record a finished download."""
        self._finished += 1
        self._total += seconds

    def record_timeout(self) -> None:
        """Record a download that was deferred or timed out."""
        self._timed_out += 1

    def __call__(self) -> float:
        """The seconds that a download may take now."""
        if self._finished < MIN_SAMPLES:
            return max(MIN_TIMEOUT, INITIAL_TIMEOUT / (1 + self._timed_out))
        return max(MIN_TIMEOUT, AVERAGE_FACTOR * self._total / self._finished)


class Stopwatch:
    """Measures one download: all its attempts, without the time spent waiting for a slot at a host.

    Args:
        defer_after: returns the seconds after which the download is deferred; None never defers it.
    """

    def __init__(self, defer_after: Callable[[], float] | None = None) -> None:
        self._defer_after = defer_after
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """The seconds measured so far."""
        return time.monotonic() - self._started

    def exclude(self, seconds: float) -> None:
        """Subtract `seconds` from the measured time."""
        self._started += seconds

    def should_defer(self, wait: float = 0.0) -> bool:
        """Whether the download is to be deferred, now or before a wait of `wait` seconds would end."""
        return self._defer_after is not None and self.seconds + wait >= self._defer_after()
