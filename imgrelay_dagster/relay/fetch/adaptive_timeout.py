"""How long a task waits for one download before it defers it.

A hanging server blocks a thread for a whole read timeout, several times with retries, and the task cannot finish
before. So a download that takes far longer than the task's other downloads, and than those of its host, is deferred to
the end of the run, where it gets its full time limits, in parallel with the other deferred downloads. A timeout there
is final. So n hanging URLs of one host add about n / (per_host * max_concurrent) times `read_timeout` (for a silent
server) or `deadline` (for a server that sends a few bytes at a time) to the run.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imgrelay_dagster.relay.urls import authority_of

MIN_TIMEOUT = 1.5
"""Seconds that every download gets at least."""

AVERAGE_FACTOR = 5.0
"""The timeout, in multiples of the average duration of the finished downloads."""

INITIAL_TIMEOUT = 10.0
"""Seconds while fewer than `MIN_SAMPLES` downloads have finished; divided by one plus the number that timed out."""

MIN_SAMPLES = 3

FIRST_TIMEOUT = 3.0
"""Seconds that a download gets at least if no other download of its host has finished; divided as `INITIAL_TIMEOUT`."""


class _Durations:
    """The durations of downloads, and how many timed out."""

    def __init__(self) -> None:
        self.finished = 0
        self.total = 0.0
        self.timed_out = 0

    def record(self, seconds: float) -> None:
        self.finished += 1
        self.total += seconds

    @property
    def average(self) -> float:
        return self.total / self.finished


class AdaptiveTimeout:
    """The timeout for one task's downloads; shared by its threads.

    It follows the other downloads of the task and those of the same host, whichever is longer: a host that always
    answers late does not hang. A host that has not answered yet gets `FIRST_TIMEOUT`.
    """

    def __init__(self) -> None:
        self._all = _Durations()
        self._hosts: dict[str, _Durations] = {}

    def record_duration(self, url: str, seconds: float) -> None:
        """Record a finished download."""
        self._all.record(seconds)
        self._of(url).record(seconds)

    def record_timeout(self, url: str) -> None:
        """Record a download that was deferred or timed out."""
        self._all.timed_out += 1
        self._of(url).timed_out += 1

    def __call__(self, url: str) -> float:
        """The seconds that a download of this URL may take now."""
        if self._all.finished < MIN_SAMPLES:
            return max(MIN_TIMEOUT, INITIAL_TIMEOUT / (1 + self._all.timed_out))
        own = self._of(url)
        of_host = AVERAGE_FACTOR * own.average if own.finished else FIRST_TIMEOUT / (1 + own.timed_out)
        return max(MIN_TIMEOUT, AVERAGE_FACTOR * self._all.average, of_host)

    def _of(self, url: str) -> _Durations:
        return self._hosts.setdefault(authority_of(url), _Durations())


class Stopwatch:
    """Measures one download: all its attempts, without the time spent waiting for a slot at a host.

    Nor does it measure what other processes say about the host: that is in a store, which may be slow or unreachable.

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

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not measure the block."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.exclude(time.monotonic() - started)

    def should_defer(self, wait: float = 0.0) -> bool:
        """Whether the download is to be deferred, now or before a wait of `wait` seconds would end."""
        return self._defer_after is not None and self.seconds + wait >= self._defer_after()
