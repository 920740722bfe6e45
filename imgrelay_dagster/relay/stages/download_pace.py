"""How many downloads a step has under way: as many as the latency of its servers needs, and an adjustment allows."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

from imgrelay_dagster.relay.stages.busy_hosts import Slot
from imgrelay_dagster.relay.urls import authority_of

START = 16
"""Concurrent downloads of a step at first, and from near servers."""

TARGET_RATE = 300.0
"""Downloads per second that a step tries to reach. With small images, one step cannot do more than that on one core."""

SAMPLES = 16
"""Finished downloads between two looks at the latency."""

SILENT = 0.25
"""Seconds after which a server that has not answered once counts as far away. A near one, even on a busy machine, has
answered one of several requests by then."""

MOST_SILENT = 2.0
"""Seconds that such a server counts with at most: it may also never answer."""

_TICK = 0.1  # seconds between two calls of `check` while waiting


class DownloadPace:
    """The number of concurrent downloads of one step, shared by its threads. It only grows, unless `cap` is lower.

    By Little's law, `rate * latency` downloads are under way. The latency of a server is its fastest answer: the
    average also contains the time that a download waits for a busy core, which more downloads would make longer. Until
    a server has answered, its latency is at least the time since it was first asked: otherwise servers that take
    seconds would hold all places of a step, and nothing would be known of them.

    Args:
        most: maximum number of concurrent downloads.
        start: number of concurrent downloads at first.
        cap: returns a lower maximum that counts now, 0 while no download may start; None if there is none.
        clock: seconds, from any point in time.

    Attributes:
        allowed: number of concurrent downloads at present.
    """

    def __init__(
        self,
        most: int,
        start: int = START,
        cap: Callable[[], int | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._cap = cap
        self._clock = clock
        self.allowed = min(start, most)
        self._running = 0
        self._lock = threading.Lock()
        self._free = threading.Condition(self._lock)
        self._fastest: dict[str, float] = {}
        self._finished: dict[str, int] = {}
        self._samples = 0
        self._silent: dict[str, _Silent] = {}
        self._heard: set[str] = set()

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
        return self._look_at_silent if slot == self.slot else None

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

    @contextmanager
    def asking(self, url: str) -> Iterator[None]:
        """Ask the server of a URL in this block, which ends with its answer or with an error."""
        host = authority_of(url)
        with self._lock:
            if host not in self._heard:
                self._silent.setdefault(host, _Silent(self._clock())).requests += 1
        try:
            yield
        finally:
            with self._lock:
                self._heard.add(host)
                self._silent.pop(host, None)

    def record(self, url: str, seconds: float) -> None:
        """Record a finished download, and allow more downloads if its server is far away."""
        host = authority_of(url)
        with self._lock:
            self._fastest[host] = min(seconds, self._fastest.get(host, seconds))
            self._finished[host] = self._finished.get(host, 0) + 1
            self._samples += 1
            if self._samples % SAMPLES == 0:
                self._grow()

    def _look_at_silent(self) -> int:
        """Allow more downloads if a server does not answer; returns how many may be under way now."""
        now = self._clock()
        with self._lock:
            if any(now - host.since >= SILENT for host in self._silent.values()):
                self._grow()
        return self.allowed_now()

    def _grow(self) -> None:
        """Allow as many downloads as the latencies ask for, if these are more than now."""
        if self.allowed == self._most:
            return
        now = self._clock()
        waited, requests = sum(self._fastest[host] * count for host, count in self._finished.items()), self._samples
        for host in self._silent.values():
            if now - host.since >= SILENT:
                waited += min(now - host.since, MOST_SILENT) * host.requests
                requests += host.requests
        wanted = min(self._most, ceil(TARGET_RATE * waited / requests))
        if wanted > self.allowed:
            self._free.notify(wanted - self.allowed)
            self.allowed = wanted


@dataclass
class _Silent:
    """A server that has not answered yet.

    Attributes:
        since: when it was first asked.
        requests: how many requests wait for it.
    """

    since: float
    requests: int = 0
