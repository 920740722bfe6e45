"""The step processes of a run from the command line."""

from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import forkserver, util

import psutil

from imgrelay_dagster.forkserver.server import kill_step_server


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
