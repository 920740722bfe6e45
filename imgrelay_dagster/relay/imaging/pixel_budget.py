"""How many pixels the threads of one process may hold decoded at once."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from imgrelay_dagster.relay.errors import Stopped

STOP_CHECK_SECONDS = 0.1
"""How long a waiting thread may take to notice that it was told to stop."""


class PixelBudget:
    """A semaphore counted in pixels. First come, first served, so that no large image waits for ever.

    An image larger than the whole budget waits until it is alone, and then passes.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a pixel budget of {limit} lets nothing pass")
        self._limit = limit
        self._held = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """Pixels held now; an image larger than the budget counts as the whole budget."""
        return self._held

    @contextmanager
    def hold(self, pixels: int, stop: threading.Event | None = None) -> Iterator[None]:
        """Hold `pixels` of the budget inside the `with` block, waiting for them first.

        Raises Stopped when `stop` is set before they are free.
        """
        share = min(pixels, self._limit)
        self._take(share, stop)
        try:
            yield
        finally:
            with self._changed:
                self._held -= share
                self._changed.notify_all()

    def _take(self, share: int, stop: threading.Event | None) -> None:
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
