"""How a run's process waits for what its steps tell: for all of them at once.

It changes a library at run time, in each process that loads our executors; only a run's own process uses it.
"""

import queue
import threading
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any
from weakref import WeakKeyDictionary

from dagster._core.executor import child_process_executor
from dagster._core.executor.child_process_executor import PROCESS_DEAD_AND_QUEUE_EMPTY

ROUNDS = 4
"""Times that all steps are asked for an event, and have none, before they are waited for. A step takes Dagster three
rounds to start, in which there is none of it to wait for."""

TICK = 0.1
"""Seconds that a wait takes at most, for between two of them Dagster sees whether the run is being cancelled. With its
own 20 ms a run's process took 3 % of a core, though there is nothing to hear in nearly all of them."""


def listen_to_all() -> None:
    """Change it."""
    child_process_executor._poll_for_event = Listener().next_event


class Listener(threading.local):
    """Asks the steps of a thread's run for events in turn.

    Dagster gives each step 20 ms to have an event when it asks it for one. So the end of a step and the start of the
    next one, which take it several rounds, wait some 75 ms for each step that is silent meanwhile.
    """

    def __init__(self) -> None:
        self._steps: WeakKeyDictionary[Any, BaseProcess] = WeakKeyDictionary()  # by their queues
        self._silent = 0  # answers without an event since the last one with one

    def next_event(self, process: BaseProcess, event_queue: Any) -> Any:
        """A step's next event; None where it has none yet, though another may have."""
        self._steps[event_queue] = process
        heard = [(each._reader, step.sentinel) for each, step in self._steps.items() if not each._closed]
        if self._silent >= ROUNDS * len(heard):
            wait([source for sources in heard for source in sources], TICK)
        alive = process.is_alive()  # asked first: what it told before its end is in the queue
        try:
            event = event_queue.get(block=False)
        except queue.Empty:
            self._silent += 1
            return None if alive else PROCESS_DEAD_AND_QUEUE_EMPTY
        self._silent = 0
        return event
