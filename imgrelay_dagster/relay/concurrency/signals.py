"""Protects work of the main thread from interrupts while a run is being canceled.

A cancel is an exception that a signal's handler raises between two instructions of the main thread. Python cannot keep
a piece of code whole against that. From 3.12 on the compiler leaves some jumps back to the start of a loop out of the
`try` around the loop, so that its `finally` may be skipped. From 3.14 on the exception may also come between
`with lock:` and its block, which leaves the lock locked. `Thread.start` takes a lock that every new thread needs.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def ignore_interrupts() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM inside the block, then restore the previous handlers.

    A Ctrl-C in a terminal reaches a step twice: from the terminal and from the run's process. The second signal would
    interrupt the flush that the first one started. Outside the main thread the block does nothing, because Python
    handles signals in the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    saved = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in saved.items():
            signal.signal(number, handler)


_SIGNALS = tuple(signal.valid_signals())  # asked once, because Python makes an object of each number


@contextmanager
def defer_interrupts() -> Iterator[Callable[[], None]]:
    """Let signals wait inside; yields a function that handles those that came in so far.

    The others are handled when the block has ended. One that comes in several times is handled once. Handlers may raise
    at these two places, and nowhere else. Outside the main thread, where no handler is ever called, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    deferral = _Deferral()
    try:
        deferral.begin()
        yield deferral.handle
    finally:
        deferral.end()


class _Deferral:
    """Stands in for the handlers of all signals that Python code handles."""

    def __init__(self) -> None:
        found = {number: signal.getsignal(number) for number in _SIGNALS}
        self._handlers: dict[int, Any] = {number: handler for number, handler in found.items() if callable(handler)}
        self._replaced = set(self._handlers)
        self._waiting: list[int] = []
        self._over = False

    def begin(self) -> None:
        for number in self._handlers:
            signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._over:
            self._handlers[number](number, frame)
        elif number not in self._waiting:
            self._waiting.append(number)

    def handle(self) -> None:
        """Call the handlers of the signals that wait."""
        waiting, self._waiting = self._waiting, []
        for number in waiting:
            self._handlers[number](number, None)

    def end(self) -> None:
        """Restore the handlers, then call those of the signals that wait."""
        try:
            self._over = True  # from here on a signal may raise, also before its handler is restored
            self._restore()
        finally:
            if self._replaced:
                self._restore()
        self.handle()

    def _restore(self) -> None:
        for number in tuple(self._replaced):
            signal.signal(number, self._handlers[number])
            self._replaced.discard(number)
