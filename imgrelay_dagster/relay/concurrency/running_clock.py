"""A clock that stands still while the process cannot run: stopped by a signal, or on a machine that is suspended.

Time limits that are measured with it do not end what could not go on meanwhile.
"""

import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

BEAT = 0.25
"""Seconds between two beats of the clock's thread."""

MAX_GAP = 2.0
"""Seconds that the clock moves on at most without a beat. A busy machine may cause shorter gaps."""

MAX_TRIES = 3
"""Tries of a call during which the process was paused."""

T = TypeVar("T")


class RunningClock:
    """Counts the seconds in which the process could run. Thread-safe; `beat` must be called a few times a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last_beat = clock()
        self._counted = 0.0
        self._lost = 0.0

    def beat(self) -> None:
        """Count the time since the last beat, at most `MAX_GAP`."""
        with self._lock:
            now = self._clock()
            gap = now - self._last_beat
            self._counted += min(gap, MAX_GAP)
            self._lost += max(0.0, gap - MAX_GAP)
            self._last_beat = now

    def __call__(self) -> float:
        """The seconds counted so far."""
        with self._lock:
            return self._counted + min(self._clock() - self._last_beat, MAX_GAP)

    def lost(self) -> float:
        """The seconds so far in which the process could not run."""
        with self._lock:
            return self._lost + max(0.0, self._clock() - self._last_beat - MAX_GAP)


@cache
def process_clock() -> RunningClock:
    """The clock of this process, with a thread of its own, which starts with the first call."""
    clock = RunningClock()

    def run() -> None:
        while True:
            time.sleep(BEAT)
            clock.beat()

    threading.Thread(target=run, name="running-clock", daemon=True).start()
    return clock


os.register_at_fork(after_in_child=process_clock.cache_clear)  # the thread stays in the parent


def call_again_after_pause(call: Callable[[], T], errors: type[Exception] | tuple[type[Exception], ...]) -> T:
    """Call; call again if it raises one of `errors` and the process was paused meanwhile.

    A request to a store has a time limit of its own, which a pause uses up.
    """
    clock = process_clock()
    for tries_left in reversed(range(MAX_TRIES)):
        lost = clock.lost()
        try:
            return call()
        except errors:
            if not tries_left or clock.lost() == lost:
                raise
    raise AssertionError("the last try returns or raises")
