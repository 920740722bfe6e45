"""The processes of a run from the command line: the one that steps are forked from, and the steps."""

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, util
from typing import Any

import psutil

from imgrelay_dagster.placement import steps_leave_this_host

PRELOAD = ["imgrelay_dagster.preload"]
"""As in `executors.py`, which cannot be imported before Dagster is."""


@contextmanager
def step_server() -> Iterator[None]:
    """Start the process that steps are forked from at once, so that it loads Dagster while this one does.

    It ignores what ends a run, for it serves until its steps have gone: a signal sent to the whole process group,
    as a terminal does, would else end it first, and nobody would learn how its steps ended.
    """
    if steps_leave_this_host():
        yield
        return
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    saved = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        forkserver.ensure_running()
    finally:
        for number, handler in saved.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        kill_step_server()


def kill_step_server() -> None:
    """End the process that steps are forked from; by itself it would go a moment after this one."""
    server: Any = forkserver._forkserver
    if server._forkserver_pid is not None:
        with suppress(OSError):
            os.kill(server._forkserver_pid, signal.SIGKILL)
            server._stop()


def let_steps_leave(limit: float) -> None:
    """Wait for step processes, and kill those that are still there after `limit` seconds."""
    steps = _steps()
    _, alive = psutil.wait_procs(steps, timeout=limit)
    _kill(alive)


def kill_steps() -> None:
    """End all step processes at once."""
    _kill(_steps())


def kill_everything() -> None:
    """End all step processes and what they are forked from at once."""
    steps = _steps()
    kill_step_server()
    _kill(steps)


def _steps() -> list[psutil.Process]:
    """The step processes there are, also one that multiprocessing has not heard of yet."""
    pid = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if pid is None:
        return []
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def release_semaphores() -> None:
    """Give back what this process shares with its steps, as leaving the interpreter would."""
    util._run_finalizers(0)  # type: ignore[attr-defined]
