"""How a process is told of a cancel: without waiting for it to take notice.

It changes a library at run time, in each process that loads our executors: a run's own, and Dagster's code server,
which starts runs. Both tell their children of a cancel by a `multiprocessing.Event`.
"""

import multiprocessing
from functools import partial
from multiprocessing.synchronize import Event
from typing import Any

METHODS = ("forkserver", "spawn")
"""How a run's process starts its steps, and how a code server starts runs."""


class StopEvent(Event):
    """An event that is set once and for all, and that one thread waits for.

    Python's own waits, with its lock held, until every waiter is awake. A process that has just ended will never be: a
    run terminated as one of its steps ends, which steps do that see the run being cancelled, then hangs for ever.
    """

    def set(self) -> None:
        """Set it, and wake who waits or is about to: what comes too early for its wait is there when it begins."""
        inner: Any = self
        inner._flag.release()
        inner._cond._wait_semaphore.release()


def tell_without_waiting() -> None:
    """Change it."""
    for method in METHODS:
        if method in multiprocessing.get_all_start_methods():
            context: Any = multiprocessing.get_context(method)
            context.Event = partial(StopEvent, ctx=context)
