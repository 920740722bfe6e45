"""Limits the memory that the threads of one process use for images at the same time."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from imgrelay_dagster.relay.errors import Stopped

STOP_CHECK_SECONDS = 0.1
"""How long a waiting thread may take to notice that its stop event was set."""


class MemoryBudget:
    """A semaphore counted in bytes. It serves threads in order of arrival, so that a large image never starves.

    An image larger than the whole budget waits until it can hold the budget alone.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a memory budget must be at least 1, not {limit}")
        self._limit = limit
        self._held = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """The bytes held at present; an image larger than the budget counts as the whole budget."""
        return self._held

    @contextmanager
    def hold(self, size: int, stop: threading.Event | None = None) -> Iterator[None]:
        """Wait for `size` bytes of the budget, then hold them inside the `with` block.

        Raises Stopped when `stop` is set before they are available.
        """
        share = min(size, self._limit)
        self._acquire(share, stop)
        try:
            yield
        finally:
            with self._changed:
                self._held -= share
                self._changed.notify_all()

    def hold_all(self, stop: threading.Event | None = None) -> AbstractContextManager[None]:
        """Wait until nothing is held, then hold the whole budget. Raises as `hold` does."""
        return self.hold(self._limit, stop)

    def _acquire(self, share: int, stop: threading.Event | None) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or self._held + share > self._limit:
                    if stop is not None and stop.is_set():
                        raise Stopped
                    self._changed.wait(STOP_CHECK_SECONDS)
                self._held += share
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
