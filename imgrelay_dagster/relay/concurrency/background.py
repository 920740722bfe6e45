"""Calls in background threads, so that a canceled run does not wait for a slow store.

A call of a store's client may take a minute, and no signal interrupts it: Python runs signal handlers only after the
call returns. So the call runs in a daemon thread, and the caller waits for it in short intervals.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Generic, TypeVar, cast

from imgrelay_dagster.relay.concurrency.signals import defer_interrupts
from imgrelay_dagster.relay.errors import Stopped

S = TypeVar("S")
T = TypeVar("T")

TICK = 0.25
"""Seconds between two calls of `tick` while waiting."""


class BackgroundCall(Generic[T]):
    """One call in its own daemon thread. It starts at once."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._finished = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None
        with defer_interrupts():  # one within `start` could keep every later thread from running
            threading.Thread(target=self._run, name="background", daemon=True).start()

    @property
    def finished(self) -> bool:
        """Whether the call has returned or raised."""
        return self._finished.is_set()

    def wait(self, *, limit: float | None = None, tick: Callable[[], None] = lambda: None) -> T:
        """Wait for the call; return its result or raise its exception.

        Args:
            limit: maximum seconds to wait; None waits without limit.
            tick: called every `TICK` seconds while waiting. If it raises, the wait ends with that exception and the
                call is abandoned: it continues in its thread, and its result is ignored.

        Raises:
            TimeoutError: the call did not finish within `limit`.
        """
        deadline = None if limit is None else time.monotonic() + limit
        while not self._finished.wait(TICK if deadline is None else max(0.0, min(TICK, deadline - time.monotonic()))):
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"no answer within {limit:g} s")
            tick()
        if self._error is not None:
            raise self._error
        return cast(T, self._result)

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - `wait` raises it in the caller's thread
            self._error = error
        finally:
            self._finished.set()


def call_ahead(items: Iterable[S], call: Callable[[S], T], *, concurrency: int) -> Iterator[BackgroundCall[T]]:
    """Call `call` on each item in the background; yield the calls in the items' order, to be waited for.

    At most `concurrency` calls are pending at a time. Calls still pending when the caller stops iterating are
    abandoned.
    """
    pending: deque[BackgroundCall[T]] = deque()
    for item in items:
        pending.append(BackgroundCall(partial(call, item)))
        if len(pending) == concurrency:
            yield pending.popleft()
    yield from pending


def call_in_background(call: Callable[[Callable[[], None]], T], tick: Callable[[], None]) -> T:
    """Run a call in the background and wait for it, calling `tick` meanwhile; return the call's result.

    An exception of either `call` or `tick` is raised.

    Args:
        call: receives a function that raises `Stopped` once the caller no longer waits. A long call should call it
            from time to time.
        tick: called every `TICK` seconds while waiting.
    """
    abandoned = threading.Event()

    def check() -> None:
        if abandoned.is_set():
            raise Stopped

    try:
        return BackgroundCall(lambda: call(check)).wait(tick=tick)
    finally:
        abandoned.set()
