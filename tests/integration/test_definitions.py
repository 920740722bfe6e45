"""The Dagster definitions, and how step processes start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from imgrelay_dagster.config.s3_access import spare_sessions
from imgrelay_dagster.execution.executors import relay_executor

ROOT = Path(__file__).parents[2]

NAMES = """
import json
from imgrelay_dagster.definitions import defs
repository = defs.get_repository_def()
job = repository.get_job("relay")
print(json.dumps({
    "jobs": sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")),
    "assets": sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()),
    "schedules": sorted(schedule.name for schedule in repository.schedule_defs),
    "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
    "resources": sorted(repository.get_top_level_resources()),
    "ops": sorted(node.name for node in job.graph.nodes),
    "asset checks": sorted(key.name for key in repository.asset_graph.asset_check_keys),
    "executor": job.executor_def.name,
    "retry strategy": job.tags["dagster/retry_strategy"],
}))
"""


def test_the_definitions_load_in_a_fresh_interpreter_under_their_names(tmp_path: Path):
    shown = subprocess.run(
        [sys.executable, "-c", NAMES], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert json.loads(shown) == {
        "jobs": ["relay", "relay_day"],
        "assets": ["daily_manifests", "relayed_images"],
        "schedules": ["daily_drop"],
        "sensors": [
            "canceled_runs",
            "day_freshness",
            "failed_runs",
            "housekeeping",
            "inbox",
            "late_manifests",
            "shards",
            "succeeded_runs",
        ],
        "resources": ["http", "io_manager", "stores", "templates"],
        "ops": ["compose", "download", "plan", "report", "upload"],
        "asset checks": ["destination_holds_results", "failed_entries", "newest_day_is_relayed"],
        "executor": "multiprocess",
        "retry strategy": "ALL_STEPS",
    }


def test_dagster_validates_the_workspace(home: Path):
    validated = subprocess.run(
        [Path(sys.executable).parent / "dagster", "definitions", "validate", "-w", ROOT / "workspace.yaml"],
        cwd=ROOT,
        env={**os.environ, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert validated.returncode == 0, validated.stderr
    assert "All code locations passed validation" in validated.stdout + validated.stderr


def test_started_work_is_finished_before_new_work_starts():
    from imgrelay_dagster.defs.jobs import relay

    def priority(name: str) -> int:
        return int(relay.graph.node_named(name).definition.tags["dagster/priority"])

    assert priority("upload") > priority("compose") > priority("download")


@dg.op
def own_imports() -> list[str]:
    """The heavy modules that this step's process imported itself, which the preload should have imported before."""
    preloaded = "imgrelay_dagster.forkserver.preload" in sys.modules
    if not preloaded:
        return ["imgrelay_dagster.forkserver.preload was not preloaded"]
    if not spare_sessions:
        return ["no boto3 session was created before the fork"]
    preload = sys.modules["imgrelay_dagster.forkserver.preload"]
    heavy = ("dagster", "sqlalchemy", "alembic", "PIL", "boto3", "botocore", "obstore", "requests", "imgrelay_dagster")
    return sorted(name for name in set(sys.modules) - preload.LOADED if name.startswith(heavy))


@dg.job(executor_def=relay_executor)
def own_imports_job() -> None:
    own_imports()


def test_the_preload_leaves_no_thread_that_a_fork_would_lose(home: Path):
    """A forked step has one thread. A store or client from before the fork would wait forever for its other threads."""
    from tests.conftest import (
        command_environment,  # imported here, because a step process of the next test imports this module
    )

    count_threads = (
        "import os, imgrelay_dagster.forkserver.preload; "
        "print(len(os.listdir('/proc/self/task')), os.listdir(os.getcwd()))"
    )
    command = [sys.executable, "-c", count_threads]
    done = subprocess.run(command, cwd=home, env=command_environment(home), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 ['dagster.yaml']"
    assert done.stderr == ""


def test_a_step_process_finds_all_modules_loaded(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with (
        dg.DagsterInstance.get() as instance,
        dg.execute_job(dg.reconstructable(own_imports_job), instance, raise_on_error=True) as result,
    ):
        assert result.output_for_node("own_imports") == []
