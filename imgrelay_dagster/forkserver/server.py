"""The process that steps are forked from: itself forked from the command, once that has loaded Dagster."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from multiprocessing import forkserver, resource_tracker, util
from typing import Any, NoReturn, cast

from imgrelay_dagster.config.executor_choice import PRELOAD, steps_leave_this_host

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run. The server ignores them, for it serves until its steps have gone: sent to the whole process
group, as a terminal does, one would else end it first, and nobody would learn how its steps ended."""


@contextmanager
def step_server(still: AbstractContextManager[object]) -> Iterator[None]:
    """Serve steps with processes while the body runs.

    multiprocessing would start its server as a Python of its own, which imports Dagster a second time. A fork has it,
    and shares its memory. It takes no thread along, so none may hold a lock at that moment: in `still`, none does.
    Elsewhere than on Linux it is left to multiprocessing: there, libraries of the system may not survive a fork.
    """
    if steps_leave_this_host():
        yield
        return
    forkserver.set_forkserver_preload(PRELOAD)
    with _held_back():  # from multiprocessing's other helper too, which inherits this
        resource_tracker.ensure_running()
    with still, _by_fork() if sys.platform == "linux" else nullcontext():
        forkserver.ensure_running()
    try:
        yield
    finally:
        kill_step_server()


@contextmanager
def _by_fork() -> Iterator[None]:
    """Have multiprocessing fork the next process that it would start."""
    spawn = util.spawnv_passfds

    def fork(_program: str, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
        util.spawnv_passfds = spawn  # here, and in all that is forked from here
        return _fork(arguments, descriptors)

    util.spawnv_passfds = cast(Any, fork)
    try:
        yield
    finally:
        util.spawnv_passfds = spawn


@contextmanager
def _held_back() -> Iterator[None]:
    """Let signals that end a run wait until this block is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fork(arguments: Sequence[str], descriptors: Sequence[int]) -> int:
    """Fork, in place of executing Python with these arguments."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()  # what is buffered would be written by both processes
    with _held_back():
        with warnings.catch_warnings():
            # Python 3.12 and later warn of a fork beside threads. Ours is safe for them: see `step_server`.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _serve(arguments, descriptors)
    return pid


def _serve(arguments: Sequence[str], descriptors: Sequence[int]) -> NoReturn:
    """Be the server, with nothing of the command but its modules.

    Args:
        arguments: those of the Python that multiprocessing would start: its options, `-c`, the server's code, and, from
            Python 3.14 on, what the code finds in `sys.argv`.
        descriptors: open files that the code uses.
    """
    try:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        server: Any = forkserver._forkserver
        server._lock = threading.Lock()  # held by the call that brought us here
        # A new Python has no tracker, and from 3.14 on no fork has. Each step is given the command's.
        tracker: Any = resource_tracker._resource_tracker
        tracker._fd = tracker._pid = None
        _close_all_but(0, 1, 2, *descriptors)
        option = arguments.index("-c")
        sys.argv = list(arguments[option:])
        code = sys.argv.pop(1)
        # multiprocessing's own code, which it would have another Python execute
        exec(code, {})  # nosec B102
    finally:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - names only
        if number not in kept:
            with suppress(OSError):  # the one that the listing itself was read by
                os.close(number)


def kill_step_server() -> None:
    """End the process that steps are forked from; by itself it would go a moment after this one."""
    server: Any = forkserver._forkserver
    if server._forkserver_pid is not None:
        with suppress(OSError):
            os.kill(server._forkserver_pid, signal.SIGKILL)
            server._stop()
