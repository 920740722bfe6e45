"""A process executes one step after another, unless a step leaves something behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.executor.child_process_executor import (
    ChildProcessCommand,
    ChildProcessCrashException,
    execute_child_process_command,
)
from dagster._utils import start_termination_thread
from dagster._utils.interrupts import raise_interrupts_as

from imgrelay_dagster.execution.executors import relay_executor
from imgrelay_dagster.execution.step_pool import StepPool
from imgrelay_dagster.execution.step_process import MAX_GROWTH, StopSignal

HANGS = 30.0
"""Seconds after which something that should not wait at all counts as hanging."""

_kept: list[bytearray] = []


class Command(ChildProcessCommand):
    """What a step of Dagster is for its process: yields events, and leaves something behind."""

    def __init__(self, leaves: str = "") -> None:
        self.leaves = leaves
        self.term_event = StopSignal()

    def execute(self) -> Iterator[Any]:
        """Yield the process ID as the only event of its own."""
        done = threading.Event()
        start_termination_thread(self.term_event, done)
        yield os.getpid()
        match self.leaves:
            case "failure":
                raise ValueError("this step fails")
            case "thread":
                threading.Thread(target=time.sleep, args=(HANGS,), daemon=True).start()
            case "memory":
                _kept.append(bytearray(b"x" * (2 * MAX_GROWTH)))
            case "end":
                os._exit(3)
            case "wait":
                with raise_interrupts_as(KeyboardInterrupt):
                    for _ in range(int(10 * HANGS)):
                        time.sleep(0.1)  # an interrupt of Dagster's does not end a sleep, but what follows it
        done.set()
        self.term_event.set()


@pytest.fixture
def pool() -> Iterator[StepPool]:
    pool = StepPool()
    yield pool
    pool.close()


def execute(pool: StepPool, leaves: str = "") -> int:
    """Execute a step; returns the process ID of its process."""
    events = [event for event in execute_child_process_command(pool, Command(leaves)) if event is not None]  # type: ignore[arg-type]
    (pid,) = (event for event in events if isinstance(event, int))
    return pid


def test_a_process_executes_one_step_after_another(pool: StepPool):
    assert len({execute(pool) for _ in range(5)}) == 1


@pytest.mark.parametrize("leaves", ["failure", "thread", "memory"])
def test_no_other_step_is_executed_where_a_step_left_something(leaves: str, pool: StepPool):
    first = execute(pool, leaves)
    psutil.Process(first).wait(HANGS)
    assert execute(pool) != first


def test_a_process_that_was_killed_while_it_waited_is_replaced(pool: StepPool):
    first = execute(pool)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(psutil.NoSuchProcess):  # ended, and its forkserver has seen it
        psutil.Process(first).wait(HANGS)
        psutil.Process(first)
    assert execute(pool) != first


def test_a_process_that_ends_within_a_step_is_a_crash_of_the_step(pool: StepPool):
    execute(pool)
    with pytest.raises(ChildProcessCrashException) as raised:
        execute(pool, "end")
    assert raised.value.exit_code == 3
    assert execute(pool)


def test_a_stop_reaches_the_step_that_it_is_for(pool: StepPool):
    first, command = execute(pool), Command("wait")
    events = execute_child_process_command(pool, command)  # type: ignore[arg-type]
    assert any(event == first for event in events)  # and no further: the step is at work
    started = time.monotonic()
    command.term_event.set()
    ended = [type(event).__name__ for event in events if event is not None]
    assert ended[-1] == "ChildProcessSystemErrorEvent"
    assert time.monotonic() - started < HANGS
    command.term_event.set()  # too late, and so without effect on the next step
    assert execute(pool)


def test_the_processes_end_with_the_process_of_their_run(tmp_path: Path):
    """Also when it is killed."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.integration.test_step_processes import StepPool, execute\n"
        "if __name__ == '__main__':\n"
        "    pool = StepPool()\n"
        "    print(execute(pool), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        step = psutil.Process(pid)
        run.kill()
    step.wait(HANGS)


@dg.op
def tell_process() -> int:
    return os.getpid()


@dg.op
def tell_process_too(earlier: int) -> list[int]:
    return [earlier, os.getpid()]


@dg.job(executor_def=relay_executor)
def two_steps() -> None:
    tell_process_too(tell_process())


def test_a_run_leaves_no_process_behind(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with (
        dg.DagsterInstance.get() as instance,
        dg.execute_job(dg.reconstructable(two_steps), instance, raise_on_error=True) as result,
    ):
        first, second = result.output_for_node("tell_process_too")
    assert first == second
    if psutil.pid_exists(first):
        psutil.Process(first).wait(HANGS)
