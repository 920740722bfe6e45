"""Where measuring happens: origin, store, pictures, and the commands that are measured."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from benchmarks import corpus, meter
from benchmarks.cases import BARE, GO, NAIVE, OURS, Case
from benchmarks.figures import Figures, event_rows, run_seconds, split_of
from benchmarks.origin import Nginx
from imgrelay_dagster.demo.seaweed import SeaweedFS

ROOT = Path(__file__).parent.parent
SLOTS = max(2, len(os.sched_getaffinity(0)))
"""imgrelay's own default of steps at once."""

VOLUMES = 4096
"""Megabytes to each of the store's files: with small ones its change from one to the next shows in the figures."""

_BUCKET = "bench"
_FRAME = ROOT / "imgrelay_dagster" / "templates" / "frame.png"


class Arena:
    """Everything that the measured commands need, between `with` and its end. Pictures are kept for the next time.

    Args:
        slots: steps at once, and processes of the bare engine.
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
        self._store = self._open.enter_context(SeaweedFS(self.folder / "work" / "seaweed", volume_limit=VOLUMES))
        self._store.create_bucket(_BUCKET)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        shutil.rmtree(self.folder / "work", ignore_errors=True)

    def measure(self, case: Case, by: str, number: int) -> Figures:
        """Measure one contender once."""
        folder = self.folder / "work" / uuid.uuid4().hex
        run = Run(self, case, folder)
        asked, stop = 0, (lambda: False)
        if case.then == "redrive":
            meter.run(run.command(by), environment=run.environment, folder=folder)
        elif case.then == "cancel":
            asked = self._origin.requests()
            stop = self._once(asked + case.entries // 5)
        asked, load = self._origin.requests(), os.getloadavg()[0]
        seen = meter.run(
            run.command(by), environment=run.environment, folder=folder, scratch=folder / "staging", stop=stop
        )
        told = json.loads(seen.out.splitlines()[-1]) if seen.out else {}
        if (seen.code, told.get("failed")) not in ((0, 0), (0, None), (130, 0)):
            raise RuntimeError(f"{by} failed at {case.name} (code {seen.code}): {seen.err[-2000:] or told}")
        dagster = by in (OURS, NAIVE)
        figures = Figures(
            case=case.name,
            by=by,
            round=number,
            entries=case.entries,
            uploaded=told["uploaded"],
            load=load,
            wall=seen.wall,
            cpu=seen.cpu,
            memory=seen.peak_memory,
            scratch=seen.peak_scratch,
            scratch_files=seen.peak_scratch_files,
            requests=self._origin.requests() - asked,
            rows=event_rows(run.home) if dagster else None,
            stopping=seen.stopping,
            inside=run_seconds(run.home) if dagster else told.get("seconds"),
            split=split_of(run.home, began=seen.began, ended=seen.began + seen.wall, slots=self.slots)
            if dagster
            else {},
        )
        shutil.rmtree(folder)
        return figures

    def _once(self, requests: int) -> Callable[[], bool]:
        return lambda: self._origin.requests() >= requests

    def manifest(self, case: Case, folder: Path) -> Path:
        """The case's manifest."""
        base = self._origin.base(slow=case.slow)
        return corpus.write_manifest(folder / "urls.txt", corpus.urls(base, self._names[case.kind], case.entries))

    def environment(self, folder: Path) -> dict[str, str]:
        """The measured commands' environment."""
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
        """The compiled Go program."""
        program = self.folder / "yardstick"
        source = ROOT / "benchmarks" / "yardstick" / "main.go"
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
            subprocess.run(["go", "build", "-o", program, source], env=environment, check=True)
        return program


class Run:
    """One contender's folder, and how it is called."""

    def __init__(self, arena: Arena, case: Case, folder: Path) -> None:
        self.home = folder / "home"
        for made in (self.home, folder / "staging"):
            made.mkdir(parents=True)
        shutil.copy(ROOT / "dagster.yaml", self.home)
        self.environment = arena.environment(folder)
        self._arena = arena
        self._case = case
        self._prefix = folder.name
        self._staging = folder / "staging"
        self._manifest = arena.manifest(case, folder)

    def command(self, by: str) -> list[str | Path]:
        """What to run."""
        address, form, slots = f"s3://{_BUCKET}/{self._prefix}", self._case.format, self._arena.slots
        match by:
            case _ if by == OURS:
                program = [sys.executable, "-m", "imgrelay_dagster.cli", "run", "--json", "--dataset", "bench"]
                program += ["--max-concurrent", str(slots)]
                return [*program, "--manifest", self._manifest, "--destination", address, "--format", form]
            case _ if by == BARE:
                program = [sys.executable, "-m", "benchmarks.bare", "--processes", str(slots), "--format", form]
                return [*program, self._manifest, address, self._staging]
            case _ if by == GO:
                program = [self._arena.yardstick(), "-composers", str(slots), "-frame", _FRAME, "-bucket", _BUCKET]
                return [*program, "-prefix", self._prefix, "-manifest", self._manifest]
        assert by == NAIVE
        return [sys.executable, "-m", "benchmarks.naive", self._manifest, _BUCKET, self._prefix]
