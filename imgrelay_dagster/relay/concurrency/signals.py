"""Protects short cleanup work from interrupts while a run is being cancelled."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
