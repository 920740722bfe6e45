"""Limits the concurrent requests to each host."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TICK = 0.1  # seconds between two calls of `check` while waiting


class _HostSlots:
    def __init__(self, limit: int) -> None:
        self.free = threading.Semaphore(limit)
        self.users = 0


class HostLimiter:
    """Limits the concurrent requests to each host. The state of an idle host is deleted.

    Args:
        limit: returns the concurrent requests to a host.
    """

    def __init__(self, limit: Callable[[str], int]) -> None:
        self._limit = limit
        self._hosts: dict[str, _HostSlots] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of hosts in use or waited for."""
        return len(self._hosts)

    @contextmanager
    def slot(self, host: str, check: Callable[[], None]) -> Iterator[None]:
        """Wait for a free slot at the host and hold it. `check` is called while waiting, and may raise."""
        with self._lock:
            slots = self._hosts.setdefault(host, _HostSlots(self._limit(host)))
            slots.users += 1
        try:
            while not slots.free.acquire(timeout=_TICK):
                check()
            try:
                yield
            finally:
                slots.free.release()
        finally:
            with self._lock:
                slots.users -= 1
                if slots.users == 0:
                    del self._hosts[host]
