"""The process that steps are forked from. It is forked from the command, after the command has imported Dagster."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from multiprocessing import forkserver, resource_tracker
from typing import Any, NoReturn

from imgrelay_dagster.config.executor_choice import PRELOAD, steps_leave_this_host
from imgrelay_dagster.dagster_patches.forkserver_start import start_by_fork

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run. The server ignores them, because it has to outlive its steps. A terminal sends a signal to
the whole process group: it would end the server first, and the exit codes of the steps would be lost."""


@contextmanager
def step_server(paused_threads: AbstractContextManager[object]) -> Iterator[None]:
    """Serve steps with processes while the body runs.

    A fork copies no thread but this one, so no other thread may hold a lock at that moment. On systems other than
    Linux, multiprocessing starts the server: there, system libraries may not survive a fork.

    Args:
        paused_threads: a context in which no other thread of this process holds a lock.
    """
    if steps_leave_this_host():
        yield
        return
    forkserver.set_forkserver_preload(PRELOAD)
    with blocked_signals():  # multiprocessing's resource tracker inherits the mask
        resource_tracker.ensure_running()
    with paused_threads, start_by_fork(_fork) if sys.platform == "linux" else nullcontext():
        forkserver.ensure_running()
    try:
        yield
    finally:
        kill_step_server()


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Let the signals that end a run wait until this block has ended."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fork(arguments: Sequence[str], descriptors: Sequence[int]) -> int:
    """Fork this process instead of executing Python with these arguments; returns the process ID of the server."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()  # otherwise both processes would write the buffered text
    with blocked_signals():
        with warnings.catch_warnings():
            # Python 3.12 and later warn of a fork in a process with threads. This one is safe: see `step_server`.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _serve(arguments, descriptors)
    return pid


def _serve(arguments: Sequence[str], descriptors: Sequence[int]) -> NoReturn:
    """Run the server in the forked process. It keeps the imported modules of the command and nothing else.

    Args:
        arguments: those of the Python that multiprocessing would start: its options, `-c`, the server's code, and, from
            Python 3.14 on, what the code finds in `sys.argv`.
        descriptors: open files that the code uses.
    """
    try:
        for number in END_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)
        server: Any = forkserver._forkserver
        server._lock = threading.Lock()  # the caller holds the old one
        # A new Python process has no resource tracker; from Python 3.14 on, a forked one has none either.
        # multiprocessing passes the command's tracker to each step.
        tracker: Any = resource_tracker._resource_tracker
        tracker._fd = tracker._pid = None
        _close_all_but(0, 1, 2, *descriptors)
        option = arguments.index("-c")
        sys.argv = list(arguments[option:])
        code = sys.argv.pop(1)
        # multiprocessing's own code, which a new Python would execute.
        exec(code, {})  # nosec B102
    finally:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - names only
        if number not in kept:
            with suppress(OSError):  # the descriptor that the listing itself used
                os.close(number)


def kill_step_server() -> None:
    """Kill the process that steps are forked from. By itself it would end a moment after this process."""
    server: Any = forkserver._forkserver
    if server._forkserver_pid is not None:
        with suppress(OSError):
            os.kill(server._forkserver_pid, signal.SIGKILL)
            server._stop()
