"""Calls that may wait for a store for a minute, made so that a cancel need not wait for them.

A store's client is left by no signal: Python's handlers run once its call returns. So such a call is made in a daemon
thread, and the caller waits for it in short ticks.
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


class Background(Generic[T]):
    """One call in a thread of its own, begun at once."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._over = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None
        with defer_interrupts():  # one within `start` could keep every later thread from running
            threading.Thread(target=self._run, name="background", daemon=True).start()

    @property
    def over(self) -> bool:
        """Whether the call has returned or raised."""
        return self._over.is_set()

    def wait(self, *, limit: float | None = None, tick: Callable[[], None] = lambda: None) -> T:
        """What the call returns or raises.

        Args:
            limit: seconds to wait at most.
            tick: called every `TICK` seconds meanwhile; what it raises ends the wait, and the call is left behind.

        Raises:
            TimeoutError: the call was not over within `limit`.
        """
        until = None if limit is None else time.monotonic() + limit
        while not self._over.wait(TICK if until is None else max(0.0, min(TICK, until - time.monotonic()))):
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"no answer within {limit:g} s")
            tick()
        if self._error is not None:
            raise self._error
        return cast(T, self._result)

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - it is raised where the call is waited for
            self._error = error
        finally:
            self._over.set()


def ahead(items: Iterable[S], call: Callable[[S], T], *, at_once: int) -> Iterator[Background[T]]:
    """The call for each item, in the items' order, to be waited for; so many of them are under way at a time.

    Those under way when nobody asks any more are left behind.
    """
    under_way: deque[Background[T]] = deque()
    for item in items:
        under_way.append(Background(partial(call, item)))
        if len(under_way) == at_once:
            yield under_way.popleft()
    yield from under_way


def in_background(call: Callable[[Callable[[], None]], T], tick: Callable[[], None]) -> T:
    """Make a call and wait for it, calling `tick` meanwhile; what either raises is raised.

    Args:
        call: is given a function that raises `Stopped` once nobody waits any more, to be called now and then.
    """
    left = threading.Event()

    def check() -> None:
        if left.is_set():
            raise Stopped

    try:
        return Background(lambda: call(check)).wait(tick=tick)
    finally:
        left.set()
