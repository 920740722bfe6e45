"""How many downloads a step has under way: as many as the latency of its servers needs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from urllib.parse import urlsplit

START = 16
"""Concurrent downloads of a step at first, and from near servers."""

TARGET_RATE = 300.0
"""Downloads per second that a step tries to reach. With small images, one step cannot do more than that on one core."""

SAMPLES = 16
"""Finished downloads between two looks at the latency."""

_TICK = 0.1  # seconds between two calls of `check` while waiting


class DownloadPace:
    """The number of concurrent downloads of one step, shared by its threads. It only grows.

    By Little's law, `rate * latency` downloads are under way. The latency of a server is its fastest answer: the
    average also contains the time that a download waits for a busy core, which more downloads would make longer.

    Args:
        most: maximum number of concurrent downloads.
        start: number of concurrent downloads at first.

    Attributes:
        allowed: number of concurrent downloads at present.
    """

    def __init__(self, most: int, start: int = START) -> None:
        self._most = most
        self.allowed = min(start, most)
        self._free = threading.Semaphore(self.allowed)
        self._lock = threading.Lock()
        self._fastest: dict[str, float] = {}
        self._finished: dict[str, int] = {}
        self._samples = 0

    @contextmanager
    def slot(self, check: Callable[[], None]) -> Iterator[None]:
        """Wait until one more download may start, and hold its place. `check` is called meanwhile, and may raise."""
        while not self._free.acquire(timeout=_TICK):
            check()
        try:
            yield
        finally:
            self._free.release()

    def record(self, url: str, seconds: float) -> None:
        """Record a finished download, and allow more downloads if its server is far away."""
        host = urlsplit(url).netloc
        with self._lock:
            self._fastest[host] = min(seconds, self._fastest.get(host, seconds))
            self._finished[host] = self._finished.get(host, 0) + 1
            self._samples += 1
            if self._samples % SAMPLES or self.allowed == self._most:
                return
            waited = sum(self._fastest[host] * count for host, count in self._finished.items())
            wanted = min(self._most, ceil(TARGET_RATE * waited / self._samples))
            grown, self.allowed = max(0, wanted - self.allowed), max(wanted, self.allowed)
        if grown:
            self._free.release(grown)
