"""Keeping a short piece of closing work whole while a run is being cancelled."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ignore_interrupts() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM inside, then restore what was there.

    A Ctrl-C in a terminal reaches a step twice, from the terminal and from the run's process; the second would
    cut off the flush that the first one began. Outside the main thread signals arrive elsewhere anyway.
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
