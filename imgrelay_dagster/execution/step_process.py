"""The process that executes a run's steps, one after another, as the run's process tells it.

It ends when the run's process closes the connection, and after a step that leaves something behind that the next step
must not meet: a failure, a thread, much memory.
"""

import logging
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from enum import Enum, auto
from multiprocessing import context as contexts
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any, NamedTuple

import psutil

# Private names, as in dagster 1.13.5 to 1.13.29.
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent
from dagster._core.executor import child_process_executor
from dagster._core.executor.child_process_executor import ChildProcessCommand, ChildProcessSystemErrorEvent
from dagster._core.system_config.objects import ResolvedRunConfig

from imgrelay_dagster.dagster_patches.opened_storage import patch_opened_storage
from imgrelay_dagster.dagster_patches.resolved_config import Key, patch_resolved_config, remember
from imgrelay_dagster.dagster_patches.sqlite_storage import close_sqlite_storage, patch_sqlite_storage
from imgrelay_dagster.relay.imaging.malloc import trim_memory

MAX_GROWTH = 44 << 20
"""Bytes by which a process may have grown since its start and still execute another step."""

LEAVE_LIMIT = 0.5
"""Seconds in which the threads of a step that has ended must end."""

_RECEIVER, _SENDER, _CLOCK = "step-receiver", "step-sender", "running-clock"
_LASTING = frozenset({threading.main_thread().name, _RECEIVER, _SENDER, _CLOCK})
"""The names of the threads that serve all steps of the process."""


class Order(NamedTuple):
    """What the run's process sends for each step. `resolved` is the resolved run config, sent once to each process."""

    command: ChildProcessCommand
    resolved: tuple[Key, ResolvedRunConfig] | None


class Note(Enum):
    """What both processes tell each other besides orders and events.

    `STOP` ends the current step; `READY` asks for the next one; after `LEAVING` the process ends.
    """

    STOP = auto()
    READY = auto()
    LEAVING = auto()


class StopSignal(Event):
    """Stops one step. Set in the run's process, it is sent to the process of the step, and is set there.

    It is an `Event` for Dagster, which asks for one, but has no semaphore: nothing waits for a process that has ended.
    It is never cleared.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.connection: Connection | None = None  # to the process of the step, as long as it executes the step

    def is_set(self) -> bool:
        """Whether the step is to stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Stop the step."""
        self._event.set()
        if self.connection is not None:
            with suppress(OSError):  # the process has ended
                self.connection.send(Note.STOP)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, for `timeout` seconds at most; returns whether it is set."""
        return self._event.wait(timeout)

    def __reduce__(self) -> Any:
        return StopSignal, ()


class StepProcess(contexts.ForkServerProcess):
    """A process that executes steps, with the patches that make them cheaper. It prints no traceback when canceled.

    Args:
        connection: to the run's process. Receives orders and `Note.STOP`, sends events of steps and notes.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def run(self) -> None:
        """Change this process, then execute steps."""
        patch_sqlite_storage()
        patch_opened_storage()
        patch_resolved_config()
        sys.unraisablehook = _print_unraisable
        logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())  # logs the same about a closed connection
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # while a step executes, Dagster handles it
        try:
            _execute_steps(self._connection)
        finally:
            close_sqlite_storage()


def _print_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    # A cancel that arrives inside a destructor cannot be raised there. The step notices the cancel in other ways, so
    # the terminal need not show a traceback.
    if not issubclass(unraisable.exc_type, DagsterExecutionInterruptedError):
        sys.__unraisablehook__(unraisable)


def _execute_steps(connection: Connection) -> None:
    orders = _receive(connection)
    events = _Events(connection)
    size = _size()
    while (order := orders.get()) is not None:
        if order.resolved is not None:
            remember(*order.resolved)
        child_process_executor._execute_command_in_child_process(events, order.command)  # type: ignore[arg-type]
        trim_memory()
        if events.failed or _has_threads_left() or _size() - size > MAX_GROWTH:
            events.put(Note.LEAVING)
            break
        events.put(Note.READY)
    events.close()


def _size() -> int:
    """The bytes of memory that this process uses."""
    return psutil.Process().memory_info().rss


def _has_threads_left() -> bool:
    """Whether a step has left a thread that does not end."""
    left = [thread for thread in threading.enumerate() if thread.name not in _LASTING]
    until = time.monotonic() + LEAVE_LIMIT
    for thread in left:
        thread.join(max(0.0, until - time.monotonic()))
    return any(thread.is_alive() for thread in left)


def _receive(connection: Connection) -> "queue.SimpleQueue[Order | None]":
    """Receive in a thread: orders for the returned queue, with None at the end, and stops for the last order."""
    orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()

    def receive() -> None:
        command: Any = None
        try:
            with suppress(EOFError, OSError):
                while True:
                    message = connection.recv()
                    if message is Note.STOP:
                        command.term_event.set()
                    else:
                        command = message.command
                        orders.put(message)
        finally:
            orders.put(None)

    threading.Thread(target=receive, name=_RECEIVER, daemon=True).start()
    return orders


class _Events:
    """Sends the events of steps, in a thread: a cancel would end a message of the main thread in the middle.

    Attributes:
        failed: whether a step has failed, or is to be tried again.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.failed = False
        self._thread = threading.Thread(target=self._send, name=_SENDER, daemon=True)
        self._thread.start()

    def put(self, event: Any) -> None:
        """Send an event. Dagster takes this object for a queue."""
        if isinstance(event, ChildProcessSystemErrorEvent) or (
            isinstance(event, DagsterEvent) and (event.is_step_failure or event.is_step_up_for_retry)
        ):
            self.failed = True
        self._waiting.put(event)

    def close(self) -> None:
        """Wait until all events are sent."""
        self._waiting.put(None)
        self._thread.join()

    def _send(self) -> None:
        with suppress(OSError):  # the run's process has ended
            while (event := self._waiting.get()) is not None:
                self._connection.send(event)
