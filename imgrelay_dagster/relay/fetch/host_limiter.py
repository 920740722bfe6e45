"""Takes turns at a host: no more than so many requests to it at a time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TICK = 0.1  # seconds between looks at whether to go on waiting


class _Turn:
    def __init__(self, limit: int) -> None:
        self.vacant = threading.Semaphore(limit)
        self.users = 0


class HostTurns:
    """Limits the requests in flight to each host. What is known of a host is forgotten when it is idle.

    Args:
        limit: requests at a time, to one host.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._turns: dict[str, _Turn] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._turns)

    @contextmanager
    def at(self, host: str, check: Callable[[], None]) -> Iterator[None]:
        """Wait for a turn at the host and hold it. `check` is called while waiting, and may raise."""
        with self._lock:
            turn = self._turns.setdefault(host, _Turn(self._limit))
            turn.users += 1
        try:
            while not turn.vacant.acquire(timeout=_TICK):
                check()
            try:
                yield
            finally:
                turn.vacant.release()
        finally:
            with self._lock:
                turn.users -= 1
                if turn.users == 0:
                    del self._turns[host]
