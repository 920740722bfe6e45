"""The step processes of a run from the command line."""

from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import forkserver, util

import psutil

from imgrelay_dagster.forkserver.server import kill_step_server


def wait_for_steps(limit: float) -> None:
    """Wait for the step processes to end, and kill those that have not ended after `limit` seconds."""
    steps = _steps()
    _, alive = psutil.wait_procs(steps, timeout=limit)
    _kill(alive)


def kill_steps() -> None:
    """Kill all step processes."""
    _kill(_steps())


def kill_everything() -> None:
    """Kill all step processes and the process that they are forked from."""
    steps = _steps()
    kill_step_server()
    _kill(steps)


def _steps() -> list[psutil.Process]:
    """All step processes, also one whose start multiprocessing has not seen yet."""
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


def release_shared() -> None:
    """Release what this process shares with its steps, as the interpreter does when it exits."""
    util._run_finalizers(0)  # type: ignore[attr-defined]
