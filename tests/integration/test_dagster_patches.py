"""The patches of libraries where they are used, and code that is not ours beside them, which sees none of them."""

import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from imgrelay_dagster.execution.executors import relay_executor


@dg.op
def describe_step() -> dict[str, str]:
    """Where what this step's process uses comes from."""
    from alembic.script import ScriptDirectory
    from dagster._core.executor.multiprocess import MultiprocessExecutorChildProcessCommand
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

    from imgrelay_dagster.dagster_patches import opened_storage, resolved_config, sqlite_storage

    frame: Any = sys._getframe()
    while not isinstance(frame.f_locals.get("self"), MultiprocessExecutorChildProcessCommand):
        frame = frame.f_back
    return {
        "stop event": type(frame.f_locals["self"].term_event).__module__,
        "connection": SqliteEventLogStorage._connect.__wrapped__.__module__,  # type: ignore[attr-defined]
        "migrations": ScriptDirectory.from_config.__module__,
        "process": type(multiprocessing.current_process()).__name__,
        "configs resolved before": str(len(resolved_config._results)),
        "spare engines left": str(len(sqlite_storage._spare) + len(opened_storage._spare)),
    }


@dg.job(executor_def=relay_executor)
def relay_like_job() -> None:
    describe_step()


@dg.job(executor_def=dg.multiprocess_executor.configured({"start_method": {"forkserver": {}}}))
def foreign_job() -> None:
    describe_step()


@pytest.fixture
def instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        yield instance


def execute(job: Any, instance: dg.DagsterInstance) -> dict[str, str]:
    with dg.execute_job(dg.reconstructable(job), instance, raise_on_error=True) as result:
        return result.output_for_node("describe_step")  # type: ignore[no-any-return]


def test_a_step_of_ours_uses_every_patch(instance: dg.DagsterInstance):
    """Fails when one of them silently stops applying."""
    assert execute(relay_like_job, instance) == {
        "stop event": "imgrelay_dagster.execution.step_process",
        "connection": "imgrelay_dagster.dagster_patches.sqlite_storage",
        "migrations": "imgrelay_dagster.dagster_patches.sqlite_storage",
        "process": "StepProcess",
        "configs resolved before": "1",
        "spare engines left": "1",  # of the runs, which only a step with a guard looks at
    }


def test_a_step_of_another_project_uses_none_though_it_is_forked_from_the_same_process(instance: dg.DagsterInstance):
    assert execute(relay_like_job, instance)["process"] == "StepProcess"
    assert execute(foreign_job, instance) == {
        "stop event": "multiprocessing.synchronize",
        "connection": "dagster._core.storage.event_log.sqlite.sqlite_event_log",
        "migrations": "alembic.script.base",
        "process": "ForkServerProcess",
        "configs resolved before": "0",
        "spare engines left": "2",
    }


FOREIGN_PROGRAM = """
import multiprocessing, os, sys

def wait_for(event, waiting):
    waiting.release()
    sys.exit(0 if event.wait(60) else 1)

if __name__ == "__main__":
    import imgrelay_dagster.definitions
    context = multiprocessing.get_context(sys.argv[1])
    event, waiting = context.Event(), context.Semaphore(0)
    processes = [context.Process(target=wait_for, args=(event, waiting), daemon=True) for _ in range(3)]
    for process in processes:
        process.start()
    for _ in processes:
        waiting.acquire()
    while event._cond._sleeping_count.get_value() < 3:
        os.sched_yield()
    event.set()
    for process in processes:
        process.join()
    event.set()
    event.clear()
    print([process.exitcode for process in processes], event.is_set())
"""


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_three_foreign_processes_that_wait_for_one_event_all_wake(method: str, tmp_path: Path):
    program = tmp_path / "foreign.py"
    program.write_text(FOREIGN_PROGRAM)
    command = [sys.executable, str(program), method]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=150)
    assert done.stdout.strip() == "[0, 0, 0] False"


def test_the_code_server_stops_its_runs_by_stop_events_and_nothing_else_does():
    code = """
import multiprocessing
from dagster._grpc.server import DagsterApiServer
server = object.__new__(DagsterApiServer)
server._mp_ctx = multiprocessing.get_context("spawn")
import imgrelay_dagster.definitions
later = object.__new__(DagsterApiServer)
later._mp_ctx = multiprocessing.get_context("spawn")
for context in (server._mp_ctx, later._mp_ctx, multiprocessing.get_context("spawn"), multiprocessing.get_context()):
    print(type(context.Event()).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["StopEvent", "StopEvent", "Event", "Event"]


def test_the_command_forks_its_forkserver_and_changes_multiprocessing_for_no_longer():
    code = """
import os, threading
from multiprocessing import forkserver, util
from imgrelay_dagster.forkserver.server import step_server
original = util.spawnv_passfds
with step_server(threading.Lock()):
    pid = forkserver._forkserver._forkserver_pid
    same_program = open(f"/proc/{pid}/cmdline").read() == open("/proc/self/cmdline").read()
    print(same_program, util.spawnv_passfds is original)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150)
    assert done.stdout.split() == ["True", "True"]


def test_importing_our_definitions_leaves_pillow_as_it_is():
    code = """
from PIL import AvifImagePlugin, PngImagePlugin
before = AvifImagePlugin.DEFAULT_MAX_THREADS, PngImagePlugin.MAX_TEXT_MEMORY
import imgrelay_dagster.definitions
print((AvifImagePlugin.DEFAULT_MAX_THREADS, PngImagePlugin.MAX_TEXT_MEMORY) == before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
