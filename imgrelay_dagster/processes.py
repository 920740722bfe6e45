"""The processes of a run from the command line: the one that steps are forked from, and the steps."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, util
from typing import Any

PRELOAD = ["imgrelay_dagster.preload"]
"""As in `executors.py`, which cannot be imported before Dagster is."""


@contextmanager
def step_server() -> Iterator[None]:
    """Start the process that steps are forked from at once, so that it loads Dagster while this one does.

    It ignores what ends a run, for it serves until its steps have gone: a signal sent to the whole process group,
    as a terminal does, would else end it first, and nobody would learn how its steps ended.
    """
    if os.environ.get("IMGRELAY_EXECUTOR"):
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
    until = time.monotonic() + limit
    for child in multiprocessing.active_children():
        child.join(max(0.0, until - time.monotonic()))
        if child.is_alive():
            child.kill()
            child.join(1.0)


def kill_steps() -> None:
    """End all step processes at once."""
    for child in multiprocessing.active_children():
        with suppress(OSError):
            child.kill()


def release_semaphores() -> None:
    """Give back what this process shares with its steps, as leaving the interpreter would."""
    util._run_finalizers(0)  # type: ignore[attr-defined]
