"""A stop event that is set without waiting for the process that it stops.

Changes: `DagsterApiServer._mp_ctx`, the multiprocessing context with which Dagster's code server starts runs. Nothing
is replaced in multiprocessing: `multiprocessing.get_context("spawn")` and its `Event` stay Python's own. Steps are
stopped by other means (`execution/step_process.py`).

Why: `multiprocessing.Event.set` holds its lock until every waiter has woken up. A process that has just ended never
wakes up, so a run that is terminated while one of its steps ends would hang for ever.

Upstream issue: https://github.com/python/cpython/issues/75158
"""

import sys
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import Event
from typing import Any

from imgrelay_dagster.dagster_patches.guard import Patch, install

_EVENT = {
    "multiprocessing.synchronize:Event.__init__": frozenset({"b4a94d36686627a6"}),
    "multiprocessing.synchronize:Event.is_set": frozenset({"2b591a236040c256"}),
    "multiprocessing.synchronize:Event.wait": frozenset({"733d7ff250deca96"}),
    "multiprocessing.synchronize:Condition.__init__": frozenset({"88a6e099e27bf8ae"}),
    "multiprocessing.synchronize:Condition.wait": frozenset({"1d41be09331730a3"}),
}
"""What `StopEvent.set` relies on."""


class StopEvent(Event):
    """An event that is set once and never cleared, and that one thread waits for, as Dagster's stop events are."""

    def set(self) -> None:
        """Set the event without taking its lock, and wake its waiter.

        The semaphore that wakes the waiter keeps its count: a wait that starts after this call returns at once.
        """
        internals: Any = self
        internals._flag.acquire(False)  # set twice, it is still cleared by one `clear`
        internals._flag.release()
        internals._cond._wait_semaphore.release()


class StopEventSpawnContext(SpawnContext):
    """Python's spawn context, with stop events in place of events."""

    def Event(self) -> StopEvent:
        """A new stop event."""
        return StopEvent(ctx=self.get_context())


_SERVER = "dagster._grpc.server"


def _apply() -> None:
    context = StopEventSpawnContext()
    # A property of the class wins over the attribute of a server that was made before this was imported.
    # Private names, as in dagster 1.13.5 to 1.13.29.
    server: Any = sys.modules[_SERVER]
    server.DagsterApiServer._mp_ctx = property(lambda _: context, lambda *_: None)


STOP_EVENT = Patch(
    name="stop event of the code server",
    libraries="dagster 1.13.5 to 1.13.29, CPython 3.11 to 3.14",
    sources={
        **_EVENT,
        "dagster._grpc.server:DagsterApiServer.StartRun": frozenset({"ec53adf5e40c9c7c"}),
    },
    apply=_apply,
)


def patch_stop_event() -> bool:
    """Let Dagster's code server stop its runs by stop events, if this process is one; returns whether it does."""
    return _SERVER in sys.modules and install(STOP_EVENT)
