"""The processes that execute a run's steps, as the run's process sees them.

Dagster starts a process for each step, and waits for a queue of its events. It gets objects that behave like both: the
step is sent to a process that has executed another step before, if one is free, and to a new one otherwise.
"""

import queue
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe, forkserver, util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, cast

# Private names, as in dagster 1.13.5 to 1.13.29.
from dagster._core.executor.child_process_executor import ChildProcessCommand
from dagster._core.executor.multiprocess import MultiprocessExecutorChildProcessCommand

from imgrelay_dagster.config.executor_choice import PRELOAD
from imgrelay_dagster.dagster_patches.resolved_config import Key, remembered
from imgrelay_dagster.execution.own_task import with_own_task
from imgrelay_dagster.execution.step_process import Note, Order, StepProcess, StopSignal


class PooledProcess:
    """A process that executes steps, and the connection to it."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        with theirs:
            self.process = StepProcess(theirs)
            self.process.start()
        self._configs: set[Key] = set()

    def order(self, command: ChildProcessCommand) -> None:
        """Let the process execute a step.

        Raises:
            OSError: the process has ended.
        """
        resolved = None
        if isinstance(command, MultiprocessExecutorChildProcessCommand):
            resolved = remembered(command.recon_pipeline.get_definition(), command.run_config)
            if resolved is not None and resolved[0] in self._configs:
                resolved = None
            if command.known_state is not None:
                command.known_state = with_own_task(command.known_state, command.step_key)
        self.connection.send_bytes(cast(Any, ForkingPickler).dumps(Order(command, resolved)))
        if resolved is not None:
            self._configs.add(resolved[0])


class StepQueue:
    """The events of one step, as Dagster reads them from a queue. The names with `_` are those of Python's queue."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self._closed = False

    @property
    def _reader(self) -> Connection:
        assert self.connection is not None, "the step is not started"
        return self.connection

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next event.

        Raises:
            queue.Empty: there is none, within `timeout` seconds if `block`; or the process has ended.
        """
        try:
            if self._reader.poll(timeout if block else 0):
                return self._reader.recv()
        except (EOFError, OSError):
            pass
        raise queue.Empty

    def close(self) -> None:
        """No event is read any more."""
        self._closed = True


class PooledStep(BaseProcess):
    """A step as Dagster sees it, a process of its own."""

    def __init__(self, pool: "StepPool", events: StepQueue, command: ChildProcessCommand) -> None:
        self._pool = pool
        self._queue, self._command = events, command
        self._pooled: PooledProcess | None = None
        self._ended = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._pooled and self._pooled.process}>"

    @property
    def _process(self) -> StepProcess:
        assert self._pooled is not None, "the step is not started"
        return self._pooled.process

    @property
    def pid(self) -> int | None:
        """The process ID of the process that executes the step."""
        return self._process.pid

    @property
    def exitcode(self) -> int | None:
        """The exit code of that process; None as long as it has not ended."""
        return self._process.exitcode

    @property
    def sentinel(self) -> int:
        """What becomes ready when the process ends."""
        return self._process.sentinel

    def start(self) -> None:
        """Send the step to a process."""
        stop: Any = cast(Any, self._command).term_event
        self._pooled = self._pool.order(self._command)
        self._queue.connection = self._pooled.connection
        if isinstance(stop, StopSignal):
            stop.connection = self._pooled.connection

    def is_alive(self) -> bool:
        """Whether the process executes the step."""
        return not self._ended and self._process.is_alive()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the process has finished the step; keep it for the next one if it can execute another."""
        pooled, stop = self._pooled, cast(Any, self._command).term_event
        assert pooled is not None
        note = None
        with suppress(EOFError, OSError):
            if pooled.connection.poll(timeout):
                note = pooled.connection.recv()
        self._ended = True
        if isinstance(stop, StopSignal):
            stop.connection = None
        if note is Note.READY:
            self._pool.take_back(pooled)
        else:
            pooled.connection.close()


class StepPool:
    """The processes of one run that wait for a step. Dagster takes it for a multiprocessing context.

    Args:
        preload: modules that the process imports from which steps are forked.
    """

    def __init__(self, preload: Sequence[str] = PRELOAD) -> None:
        forkserver.set_forkserver_preload(list(preload))
        self._idle: list[PooledProcess] = []
        # multiprocessing waits at exit for all processes, and these wait for the connections to be closed.
        self._close = util.Finalize(self, _close_all, args=(self._idle,), exitpriority=10)

    def order(self, command: ChildProcessCommand) -> PooledProcess:
        """Let a process execute a step; returns the process."""
        while self._idle:
            pooled = self._idle.pop()
            with suppress(OSError):  # ended while it waited
                pooled.order(command)
                return pooled
            pooled.connection.close()
        pooled = PooledProcess()
        with suppress(OSError):  # killed at its start; Dagster sees that its process has ended
            pooled.order(command)
        return pooled

    def take_back(self, pooled: PooledProcess) -> None:
        """Keep a process for the next step."""
        self._idle.append(pooled)

    def close(self) -> None:
        """Let all processes end that wait for a step."""
        self._close()

    def _check_available(self) -> None:
        """Asked by `multiprocessing.get_context`."""

    def Event(self) -> StopSignal:
        """What stops a step."""
        return StopSignal()

    def Queue(self) -> StepQueue:
        """The events of a step."""
        return StepQueue()

    def Process(self, *, target: object, args: tuple[StepQueue, ChildProcessCommand]) -> PooledStep:
        """A step. `target` is Dagster's function that executes it, which `StepProcess` calls."""
        del target
        return PooledStep(self, *args)


def _close_all(idle: list[PooledProcess]) -> None:
    while idle:
        idle.pop().connection.close()
