"""Fixtures for the tests of housekeeping: runs in a Dagster instance without its daemon, and a clock that moves."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from imgrelay_dagster.monitoring import housekeeping, lost_runs
from imgrelay_dagster.runs import process_identity
from tests.conftest import ROOT
from tests.support.runs import Clock, Runs


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance with the project's `dagster.yaml`."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


@pytest.fixture
def runs(instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """Creates runs; deletes them after the test."""
    monkeypatch.setenv("IMGRELAY_DESTINATION", str(tmp_path / "out"))
    yield Runs(instance, tmp_path)
    for run in instance.get_runs():
        instance.delete_run(run.run_id)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Moves the clock of `housekeeping` and `lost_runs` forward by a number of seconds."""

    class Later:
        def __init__(self, seconds: float) -> None:
            self.time = lambda: time.time() + seconds

    def move(seconds: float) -> None:
        for module in (housekeeping, lost_runs):
            monkeypatch.setattr(module, "time", Later(seconds))

    return move


@pytest.fixture
def ended_process() -> str:
    """The identity of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = process_identity.identify(psutil.Process(child.pid))
        child.kill()
    return identity
