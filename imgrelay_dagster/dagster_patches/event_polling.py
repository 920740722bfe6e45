"""Waits for events of all step processes of a run at once.

Changes: `dagster._core.executor.child_process_executor._poll_for_event`, only for runs whose executor passes its
events through `poll_all_steps`. All other runs in the process get Dagster's own function.

Why: Dagster waits up to 20 ms for each silent step in each round of its loop. The end of a step and the start of the
next one take several rounds, so they wait some 75 ms for each step that is silent meanwhile. And when a process is
killed, Dagster's exception does not say so.

Upstream issue: none known.
"""

import queue
import signal
import threading
from collections.abc import Generator, Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

# Private names, as in dagster 1.13.5 to 1.13.29.
from dagster._core.executor import child_process_executor
from dagster._core.executor.child_process_executor import PROCESS_DEAD_AND_QUEUE_EMPTY, ChildProcessCrashException

from imgrelay_dagster.dagster_patches.guard import Patch, install

ROUNDS = 4
"""Rounds without any event before the poller waits. Dagster takes three rounds to start a step, during which that step
has no queue to wait for."""

TICK = 0.1
"""Seconds that one wait takes at most: between two waits Dagster checks whether the run is being canceled. With 20 ms
the run's process used 3 % of a core, although nearly all of these waits ended without an event."""

T = TypeVar("T")


_CAUSES = {
    int(signal.SIGKILL): "; the kernel or the container was short of memory, or somebody killed it",
    int(signal.SIGTERM): "; somebody ended it",
}


class StepProcessKilled(ChildProcessCrashException):
    """A step's process was ended by a signal. Dagster's own exception has no message."""

    def __init__(self, pid: int | None, exit_code: int) -> None:
        super().__init__(pid, exit_code)  # type: ignore[no-untyped-call]
        self._signal = -exit_code

    def __str__(self) -> str:
        """Which signal it was, and what may have sent it."""
        names = {int(number): number.name for number in signal.Signals}
        name = names.get(self._signal, f"signal {self._signal}")
        return f"the step's process was ended by {name}{_CAUSES.get(self._signal, '; it crashed')}"


class StepPoller:
    """Asks the step processes of one run for events in turn."""

    def __init__(self) -> None:
        self._steps: WeakKeyDictionary[Any, BaseProcess] = WeakKeyDictionary()  # by their queues
        self._silent = 0  # polls without an event since the last event

    def next_event(self, process: BaseProcess, event_queue: Any) -> Any:
        """A step's next event; None where it has none yet, though another step may have one."""
        self._steps[event_queue] = process
        sources = [(each._reader, step.sentinel) for each, step in self._steps.items() if not each._closed]
        if self._silent >= ROUNDS * len(sources):
            wait([handle for pair in sources for handle in pair], TICK)
        alive = process.is_alive()  # asked first: all events from before its end are then in the queue
        try:
            event = event_queue.get(block=False)
        except queue.Empty:
            self._silent += 1
            return None if alive else PROCESS_DEAD_AND_QUEUE_EMPTY
        self._silent = 0
        return event


class _Active(threading.local):
    """The poller of the run whose executor is working in this thread right now."""

    poller: StepPoller | None = None


_active = _Active()


def _apply() -> None:
    original = child_process_executor._poll_for_event

    def poll_for_event(process: BaseProcess, event_queue: Any) -> Any:
        poller = _active.poller
        if poller is None:
            return original(process, event_queue)
        event = poller.next_event(process, event_queue)
        exit_code = process.exitcode if event == PROCESS_DEAD_AND_QUEUE_EMPTY else None
        if exit_code is not None and exit_code < 0:
            raise StepProcessKilled(process.pid, exit_code)
        return event

    child_process_executor._poll_for_event = poll_for_event


EVENT_POLLING = Patch(
    name="event polling",
    libraries="dagster 1.13.5 to 1.13.29",
    sources={
        "dagster._core.executor.child_process_executor:_poll_for_event": frozenset({"d818058ba80aec2b"}),
        "dagster._core.executor.child_process_executor:execute_child_process_command": frozenset({"2465a7887d29825c"}),
    },
    apply=_apply,
)


def poll_all_steps(events: Iterator[T]) -> Generator[T, None, None]:
    """Yield the events of a multiprocess executor, which meanwhile waits for all its steps at once."""
    if not install(EVENT_POLLING):
        yield from events
        return
    poller = StepPoller()
    try:
        while True:
            outer, _active.poller = _active.poller, poller
            try:
                event = next(events)
            except StopIteration:
                return
            finally:
                _active.poller = outer
            yield event
    finally:
        events.close()  # type: ignore[attr-defined]  # a generator
