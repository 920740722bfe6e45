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
from benchmarks.cases import BARE, GO, IMG2DATASET, MIXED, NAIVE, NEAR, OURS, OURS_LOCAL, SHARP, Case
from benchmarks.figures import Measurement, event_rows, run_seconds, split_of
from benchmarks.origin import LOOPBACK, MIXED_LATENCIES, Nginx
from benchmarks.rivals import img2dataset_command, sharp_command
from benchmarks.rivals.missing import MissingContenderError
from imgrelay_dagster.config.defaults import WAITING_STEPS
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.stages.download_pace import START
from imgrelay_dagster.relay.staging.tasks import max_concurrent_downloads

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
            meter.run(run.command(by), environment=run.environment(by), folder=folder)
        requests, load = self._origin.requests(), os.getloadavg()[0]
        cancel_at = requests + case.entries // 5 if case.then == "cancel" else None
        usage = meter.run(
            run.command(by),
            environment=run.environment(by),
            folder=folder,
            scratch=folder / "staging",
            stop=lambda: cancel_at is not None and self._origin.requests() >= cancel_at,
        )
        summary = json.loads(usage.out.splitlines()[-1]) if usage.out else {}
        if (usage.code, summary.get("failed")) not in ((0, 0), (0, None), (130, 0)):
            raise RuntimeError(f"{by} failed at {case.name} (code {usage.code}): {usage.err[-2000:] or summary}")
        if not case.then and summary.get("uploaded") != case.entries:
            raise RuntimeError(f"{by} stored {summary.get('uploaded')} of {case.entries} images at {case.name}")
        ours = by in (OURS, OURS_LOCAL)
        dagster = ours or by == NAIVE
        steps = self.slots + WAITING_STEPS if ours else self.slots
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
            first_image=summary.get("first_image_seconds"),
            largest_gap=summary.get("largest_gap_seconds"),
            split=split_of(run.home, started=usage.started, ended=usage.started + usage.wall, slots=steps)
            if dagster
            else {},
        )
        shutil.rmtree(folder)
        return measurement

    def manifest(self, case: Case, folder: Path) -> Path:
        """Write the case's manifest and return its path."""
        bases = self._origin.bases(case.origin)
        return corpus.write_manifest(folder / "urls.txt", corpus.urls(bases, self._names[case.kind], case.entries))

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the environment variables of the measured commands."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "IMGRELAY_", "DAGSTER_"))}
        return {
            **kept,
            **self._store.environment(),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "",  # an installed package is compiled once, not at each start
            "DAGSTER_HOME": str(folder / "home"),
            "IMGRELAY_ALLOWED_HOSTS": LOOPBACK,
            "IMGRELAY_STAGING": str(folder / "staging"),
        }

    def downloads(self, case: Case) -> int:
        """Return how many concurrent downloads imgrelay uses: those it starts with, and its limit if the origin is far.

        Each contender but the bare engine gets as many.
        """
        limits = Limits()
        hosts = len(MIXED_LATENCIES) if case.origin == MIXED else 1
        of_a_step = START if case.origin == NEAR else min(limits.threads, limits.per_host * hosts)
        return of_a_step * max_concurrent_downloads(self.slots + WAITING_STEPS)

    def yardstick(self) -> Path:
        """Return the path of the Go program, compiled if necessary.

        Raises:
            MissingContenderError: Go is not installed, or lacks a library.
        """
        program = self.folder / "yardstick"
        source = ROOT / "benchmarks" / "yardstick" / "main.go"
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
            try:
                subprocess.run(["go", "build", "-o", program, source], env=environment, check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                needed = "on Debian: apt-get install golang-go golang-golang-x-image-dev"
                raise MissingContenderError(f"the Go program cannot be compiled; {needed}") from error
        return program


class Run:
    """One contender's folder, environment and command line."""

    def __init__(self, testbed: Testbed, case: Case, folder: Path) -> None:
        self.home = folder / "home"
        for needed in (self.home, folder / "staging"):
            needed.mkdir(parents=True)
        shutil.copy(ROOT / "dagster.yaml", self.home)
        self._environment = testbed.environment(folder)
        self._testbed = testbed
        self._case = case
        self._prefix = folder.name
        self._staging = folder / "staging"
        self._folder = folder / "out"
        self._manifest = testbed.manifest(case, folder)

    def environment(self, by: str) -> dict[str, str]:
        """Return the environment variables of a contender."""
        own = {IMG2DATASET: img2dataset_command.ENVIRONMENT, SHARP: sharp_command.ENVIRONMENT}
        return {**self._environment, **own.get(by, {})}

    def command(self, by: str) -> list[str | Path]:
        """Return the command line of a contender.

        Raises:
            MissingContenderError: it is not installed.
        """
        address, file_format, slots = f"s3://{_BUCKET}/{self._prefix}", self._case.format, self._testbed.slots
        downloads = self._testbed.downloads(self._case)
        match by:
            case _ if by in (OURS, OURS_LOCAL):
                address = str(self._folder) if by == OURS_LOCAL else address
                program = [sys.executable, "-m", "imgrelay_dagster.cli", "run", "--json", "--dataset", "bench"]
                program += ["--max-concurrent", str(slots + WAITING_STEPS)]
                return [*program, "--manifest", self._manifest, "--destination", address, "--format", file_format]
            case _ if by == BARE:
                program = [sys.executable, "-m", "benchmarks.bare", "--processes", str(slots), "--format", file_format]
                return [*program, self._manifest, address, self._staging]
            case _ if by == GO:
                program = [self._testbed.yardstick(), "-composers", str(slots), "-frame", _FRAME, "-bucket", _BUCKET]
                program += ["-downloads", str(downloads)]
                return [*program, "-prefix", self._prefix, "-manifest", self._manifest]
            case _ if by == IMG2DATASET:
                counts = {"entries": self._case.entries, "processes": slots, "downloads": downloads}
                return [*img2dataset_command.command(self._testbed.folder, self._manifest, self._folder, **counts)]
            case _ if by == SHARP:
                numbers = {"processes": slots, "downloads": downloads}
                return [*sharp_command.command(self._manifest, self._folder, frame=_FRAME, **numbers)]
        assert by == NAIVE
        return [sys.executable, "-m", "benchmarks.naive", self._manifest, _BUCKET, self._prefix]
