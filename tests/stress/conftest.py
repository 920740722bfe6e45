"""A hostile web in processes of its own, and the command measured while it relays it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, command_environment
from tests.stress.web import Addresses, Entry, write_pictures
from tests.support import warm_start
from tests.support.certificate import make_certificate
from tests.support.processes import Sampler, with_environment

os.environ[warm_start.COLD] = "1"  # what is measured here is started as users start it

LEAVE_LIMIT = 10.0
"""Seconds that the command's helpers may take to be gone once it has ended."""


@dataclass(frozen=True)
class Relayed:
    """A finished run: its summary, its results and receipts, what it stored and what it cost."""

    code: int
    err: str
    summary: dict[str, Any]
    results: list[dict[str, Any]]
    ended: dict[int, float]
    destination: Path
    staged: list[str]
    left: list[int]
    seconds: float
    memory: Sampler

    def stored(self) -> set[str]:
        """The keys of the images in the destination."""
        return {key for key in relative_files(self.destination) if not key.startswith("_relay/")}


@contextmanager
def _origin(*options: str) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.support.hostile_origin", *options]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
            try:
                server.wait(10)
            finally:
                server.kill()


@pytest.fixture(scope="session")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    folder = tmp_path_factory.mktemp("web")
    pictures = folder / "pictures"
    pictures.mkdir()
    write_pictures(pictures)
    images = ("--images", str(pictures))
    with _origin(*images) as plain, _origin(*images, "--tls", *make_certificate(folder)) as tls:
        yield Addresses(plain, tls)


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Relayed]:
    """Relays entries with the command into a folder of the run's own; `form` is the run config."""

    def run(entries: list[Entry], form: dict[str, Any], *, limit: float, **environment: str) -> Relayed:
        folder = tmp_path_factory.mktemp("relay")
        home, out = folder / "home", folder / "out"
        home.mkdir()
        (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
        (folder / "web.txt").write_text("".join(f"{entry.url}\n" for entry in entries))
        (folder / "run.yaml").write_text(yaml.safe_dump(form))
        options = ("--config", "run.yaml", "--manifest", "web.txt", "--destination", str(out), "--json")
        with (folder / "out.txt").open("wb") as stdout, (folder / "err.txt").open("wb") as stderr:
            began, clock = time.time(), time.monotonic()
            command = subprocess.Popen(
                [sys.executable, "-m", "imgrelay_dagster.cli", "run", *options],
                cwd=folder,
                env=command_environment(home, **environment),
                stdout=stdout,
                stderr=stderr,
            )
            try:
                with Sampler(command.pid) as memory:
                    code = command.wait(limit)
            finally:
                command.kill()
            seconds = time.monotonic() - clock
        err = (folder / "err.txt").read_text()
        lines = (folder / "out.txt").read_text().splitlines()
        assert lines, err
        summary = json.loads(lines[-1])
        run_folder = out / "_relay" / summary["dataset"]
        receipts = [
            receipt
            for path in (run_folder / "receipts" / summary["run_id"]).glob("*.jsonl")
            for receipt in map(json.loads, path.read_text().splitlines())
        ]
        results = (run_folder / "runs" / summary["run_id"] / "results.jsonl").read_text().splitlines()
        return Relayed(
            code=code,
            err=err,
            summary=summary,
            results=[json.loads(line) for line in results],
            ended={receipt["line"]: receipt["at"] - began for receipt in receipts},
            destination=out,
            staged=relative_files(home / "staging"),
            left=_left(home),
            seconds=seconds,
            memory=memory,
        )

    return run


def _left(home: Path) -> list[int]:
    """The processes of a command that are still there after `LEAVE_LIMIT`."""
    until = time.monotonic() + LEAVE_LIMIT
    while (found := with_environment("DAGSTER_HOME", str(home))) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def relative_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where figures are written: the folder `$IMGRELAY_FIGURES`, or one of the tests' own."""
    given = os.environ.get("IMGRELAY_FIGURES")
    folder = Path(given) if given else tmp_path_factory.mktemp("figures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
