"""How many downloads a step has under way: as many as the latency of its servers needs, and an adjustment allows."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil

from imgrelay_dagster.relay.stages.busy_hosts import Slot
from imgrelay_dagster.relay.urls import authority_of

START = 16
"""Concurrent downloads of a step at first, and from near servers."""

TARGET_RATE = 300.0
"""Downloads per second that a step tries to reach. With small images, one step cannot do more than that on one core."""

SAMPLES = 16
"""Finished downloads between two looks at the latency."""

_TICK = 0.1  # seconds between two calls of `check` while waiting


class DownloadPace:
    """The number of concurrent downloads of one step, shared by its threads. It only grows, unless `cap` is lower.

    By Little's law, `rate * latency` downloads are under way. The latency of a server is its fastest answer: the
    average also contains the time that a download waits for a busy core, which more downloads would make longer.

    Args:
        most: maximum number of concurrent downloads.
        start: number of concurrent downloads at first.
        cap: returns a lower maximum that counts now, 0 while no download may start; None if there is none.

    Attributes:
        allowed: number of concurrent downloads at present.
    """

    def __init__(self, most: int, start: int = START, cap: Callable[[], int | None] = lambda: None) -> None:
        self._most = most
        self._cap = cap
        self.allowed = min(start, most)
        self._running = 0
        self._lock = threading.Lock()
        self._free = threading.Condition(self._lock)
        self._fastest: dict[str, float] = {}
        self._finished: dict[str, int] = {}
        self._samples = 0

    @contextmanager
    def slot(self, check: Callable[[], None]) -> Iterator[None]:
        """Wait until one more download may start, and hold its place. `check` is called meanwhile, and may raise."""
        with self._place(self.allowed_now, check):
            yield

    @contextmanager
    def capped_slot(self, check: Callable[[], None]) -> Iterator[None]:
        """As `slot`, but only `cap` limits the number: for downloads that mostly wait for their turn at a host."""
        with self._place(self._cap, check):
            yield

    def threads_for(self, slot: Slot) -> Callable[[], int] | None:
        """How many threads can get this slot of this pace at present; None if its number is not known."""
        return self.allowed_now if slot == self.slot else None

    def allowed_now(self) -> int:
        """The number of downloads that may be under way now."""
        cap = self._cap()
        return self.allowed if cap is None else min(cap, self.allowed)

    @contextmanager
    def _place(self, limit: Callable[[], int | None], check: Callable[[], None]) -> Iterator[None]:
        while not self._enter(limit):
            check()
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._free.notify()

    def _enter(self, limit: Callable[[], int | None]) -> bool:
        """Take a place; False if none has become free for `_TICK` seconds."""

        def is_free() -> bool:
            most = limit()
            return most is None or self._running < most

        with self._lock:
            entered = self._free.wait_for(is_free, timeout=_TICK)
            self._running += entered
            return entered

    def record(self, url: str, seconds: float) -> None:
        """Record a finished download, and allow more downloads if its server is far away."""
        host = authority_of(url)
        with self._lock:
            self._fastest[host] = min(seconds, self._fastest.get(host, seconds))
            self._finished[host] = self._finished.get(host, 0) + 1
            self._samples += 1
            if self._samples % SAMPLES or self.allowed == self._most:
                return
            waited = sum(self._fastest[host] * count for host, count in self._finished.items())
            wanted = min(self._most, ceil(TARGET_RATE * waited / self._samples))
            if wanted > self.allowed:
                self._free.notify(wanted - self.allowed)
                self.allowed = wanted
