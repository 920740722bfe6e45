"""The test bed: origin, store, pictures, and the commands of the contenders."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from benchmarks import corpus, meter
from benchmarks.cases import BARE, GO, NAIVE, OURS, Case
from benchmarks.figures import Measurement, event_rows, run_seconds, split_of
from benchmarks.origin import Nginx
from imgrelay_dagster.config.defaults import WAITING_STEPS
from imgrelay_dagster.demo.seaweed import SeaweedFS

ROOT = Path(__file__).parent.parent
SLOTS = max(2, len(os.sched_getaffinity(0)))
"""Processes that keep the cores busy. By default, imgrelay has `WAITING_STEPS` more."""

VOLUME_LIMIT = 4096
"""Size limit in megabytes of the store's data files. With small files, starting the next one affects the results."""

_BUCKET = "bench"
_FRAME = ROOT / "imgrelay_dagster" / "templates" / "frame.png"


class Testbed:
    """Runs the servers that the measured commands need, during a `with` block. Pictures are kept for the next time.

    Args:
        folder: for pictures, servers and runs.
        slots: concurrent steps, and processes of the bare engine.
    """

    def __init__(self, folder: Path, slots: int = SLOTS) -> None:
        self.folder = folder.absolute()
        self.slots = slots
        self._open = ExitStack()

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        (self.folder / "work").mkdir(parents=True)
        self._names = corpus.make(self.folder / "corpus")
        self._origin = self._open.enter_context(Nginx(self.folder / "work" / "nginx", self.folder / "corpus"))
        self._store = self._open.enter_context(SeaweedFS(self.folder / "work" / "seaweed", volume_limit=VOLUME_LIMIT))
        self._store.create_bucket(_BUCKET)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        shutil.rmtree(self.folder / "work", ignore_errors=True)

    def measure(self, case: Case, by: str, number: int) -> Measurement:
        """Measure one contender once, in round `number`."""
        folder = self.folder / "work" / uuid.uuid4().hex
        run = Run(self, case, folder)
        if case.then == "redrive":
            meter.run(run.command(by), environment=run.environment, folder=folder)
        requests, load = self._origin.requests(), os.getloadavg()[0]
        cancel_at = requests + case.entries // 5 if case.then == "cancel" else None
        usage = meter.run(
            run.command(by),
            environment=run.environment,
            folder=folder,
            scratch=folder / "staging",
            stop=lambda: cancel_at is not None and self._origin.requests() >= cancel_at,
        )
        summary = json.loads(usage.out.splitlines()[-1]) if usage.out else {}
        if (usage.code, summary.get("failed")) not in ((0, 0), (0, None), (130, 0)):
            raise RuntimeError(f"{by} failed at {case.name} (code {usage.code}): {usage.err[-2000:] or summary}")
        dagster = by in (OURS, NAIVE)
        measurement = Measurement(
            case=case.name,
            by=by,
            round=number,
            entries=case.entries,
            uploaded=summary["uploaded"],
            load=load,
            wall=usage.wall,
            cpu=usage.cpu,
            memory=usage.peak_memory,
            scratch=usage.peak_scratch,
            scratch_files=usage.peak_scratch_files,
            requests=self._origin.requests() - requests,
            rows=event_rows(run.home) if dagster else None,
            stopping=usage.stopping,
            inside=run_seconds(run.home) if dagster else summary.get("seconds"),
            split=split_of(run.home, started=usage.started, ended=usage.started + usage.wall, slots=self.slots)
            if dagster
            else {},
        )
        shutil.rmtree(folder)
        return measurement

    def manifest(self, case: Case, folder: Path) -> Path:
        """Write the case's manifest and return its path."""
        base = self._origin.base(slow=case.slow)
        return corpus.write_manifest(folder / "urls.txt", corpus.urls(base, self._names[case.kind], case.entries))

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the environment variables of the measured commands."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "IMGRELAY_", "DAGSTER_"))}
        return {
            **kept,
            **self._store.environment(),
            "PYTHONPATH": str(ROOT),
            "DAGSTER_HOME": str(folder / "home"),
            "IMGRELAY_ALLOWED_HOSTS": "127.0.0.1",
            "IMGRELAY_STAGING": str(folder / "staging"),
        }

    def yardstick(self) -> Path:
        """Return the path of the Go program, compiled if necessary."""
        program = self.folder / "yardstick"
        source = ROOT / "benchmarks" / "yardstick" / "main.go"
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
            subprocess.run(["go", "build", "-o", program, source], env=environment, check=True)
        return program


class Run:
    """One contender's folder, environment and command line."""

    def __init__(self, testbed: Testbed, case: Case, folder: Path) -> None:
        self.home = folder / "home"
        for needed in (self.home, folder / "staging"):
            needed.mkdir(parents=True)
        shutil.copy(ROOT / "dagster.yaml", self.home)
        self.environment = testbed.environment(folder)
        self._testbed = testbed
        self._case = case
        self._prefix = folder.name
        self._staging = folder / "staging"
        self._manifest = testbed.manifest(case, folder)

    def command(self, by: str) -> list[str | Path]:
        """Return the command line of a contender."""
        address, file_format, slots = f"s3://{_BUCKET}/{self._prefix}", self._case.format, self._testbed.slots
        match by:
            case _ if by == OURS:
                program = [sys.executable, "-m", "imgrelay_dagster.cli", "run", "--json", "--dataset", "bench"]
                program += ["--max-concurrent", str(slots + WAITING_STEPS)]
                return [*program, "--manifest", self._manifest, "--destination", address, "--format", file_format]
            case _ if by == BARE:
                program = [sys.executable, "-m", "benchmarks.bare", "--processes", str(slots), "--format", file_format]
                return [*program, self._manifest, address, self._staging]
            case _ if by == GO:
                program = [self._testbed.yardstick(), "-composers", str(slots), "-frame", _FRAME, "-bucket", _BUCKET]
                return [*program, "-prefix", self._prefix, "-manifest", self._manifest]
        assert by == NAIVE
        return [sys.executable, "-m", "benchmarks.naive", self._manifest, _BUCKET, self._prefix]
