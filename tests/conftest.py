"""Fixtures of all tests: a real image origin, a real S3 server, the real command; and the markers of each test."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.remote import Producer

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from tests.support import warm_start
from tests.support.needs import add_markers, fail_if_skipped_in_ci
from tests.support.s3_proxy import FaultyS3
from tests.support.stored_files import Bucket
from tests.support.xdist_scheduling import Scheduling, place

ROOT = Path(__file__).parent.parent

settings.register_profile("tests", deadline=None)  # on a busy machine any example may take a second
settings.load_profile("tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what each test needs. If several processes run the tests, start with the longest."""
    add_markers(items)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place(item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_skipped_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_skipped_in_ci(report)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Twice as many processes as cores, because many tests wait; with `logical`, for unit tests, half as many again."""
    cores = os.cpu_count() or 1
    return cores + (cores + 1) // 2 if config.option.numprocesses == "logical" else 2 * cores


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with SeaweedFS(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def store(seaweed: SeaweedFS) -> Iterator[FaultyS3]:
    with FaultyS3(seaweed) as proxy:
        yield proxy


@pytest.fixture
def bucket(seaweed: SeaweedFS, request: pytest.FixtureRequest) -> Bucket:
    """A bucket of the test's own."""
    return Bucket(seaweed, f"b{hashlib.sha256(request.node.name.encode()).hexdigest()[:20]}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A Dagster instance of this test's own, set up as the project's is."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    return folder


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """The last line of standard output, as `--json` promises it."""
        return json.loads(self.out.splitlines()[-1])


def command_environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of an `imgrelay` command that may reach the loopback address."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "IMGRELAY_", "DAGSTER_"))}
    return {**kept, "DAGSTER_HOME": str(home), "IMGRELAY_ALLOWED_HOSTS": "127.0.0.1", **more}


@pytest.fixture
def imgrelay(home: Path, tmp_path: Path) -> Callable[..., Ran]:
    """Runs the command `imgrelay` to its end; keyword arguments are environment variables."""

    def run(*arguments: str | Path, cwd: Path = tmp_path, limit: float = 240, **environment: str) -> Ran:
        done = warm_start.run(
            [sys.executable, "-m", "imgrelay_dagster.cli", *map(str, arguments)],
            cwd=cwd,
            env=command_environment(home, **environment),
            timeout=limit,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
