"""An `imgrelay run` on a `Cluster`, observed while it runs."""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
import yaml
from dagster._core.events import STEP_EVENTS

from tests.conftest import Ran
from tests.support import warm_start
from tests.support.celery_worker import LIBRARIES
from tests.support.command import until

if TYPE_CHECKING:
    from tests.support.celery_cluster import Cluster


class CeleryRun:
    """An `imgrelay run` on the cluster. Leaving the block kills it if it is still there.

    Args:
        enter: the beginning of a command that starts it in a network of its own (`networks.py`).
    """

    def __init__(
        self, cluster: "Cluster", form: dict[str, Any], environment: dict[str, str], enter: Sequence[str] = ()
    ) -> None:
        self._cluster = cluster
        self._known = {run.run_id for run in cluster.dagster.get_runs()}
        folder = Path(tempfile.mkdtemp(dir=cluster.folder))
        (folder / "run.yaml").write_text(yaml.safe_dump(form))
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = warm_start.popen(
                [*enter, sys.executable, "-m", "imgrelay_dagster.cli", "run", "--config", "run.yaml", "--json"],
                libraries=LIBRARIES,
                cold=bool(enter),
                cwd=folder,
                env={**cluster.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)

    @cached_property
    def id(self) -> str:
        """The run's id, once there is one."""

        def found() -> str | None:
            assert self.process.poll() in (None, 0), self._err.read_text()
            new = [run.run_id for run in self._cluster.dagster.get_runs() if run.run_id not in self._known]
            return new[0] if new else None

        return str(until(found, 120, "there is a run"))

    def wait(self, limit: float) -> Ran:
        """Wait for its end; return exit code and output."""
        assert self.id
        code = self.process.wait(limit)
        return Ran(code, self._out.read_text(), self._err.read_text())

    def watch_staging(self) -> list[int]:
        """Count the tasks in staging until the command has ended; return every count."""
        counts = []
        prefix = f"staging/{self.id}/"
        while self.process.poll() is None:
            parts = [key.removeprefix(prefix).split("/") for key in self._cluster.objects(prefix)]
            counts.append(len({task for task, stage, *_ in parts if stage in ("download", "compose")}))
        return counts

    def events(self, kind: dg.DagsterEventType) -> list[dg.EventLogEntry]:
        return list(self._cluster.dagster.all_logs(self.id, of_type=kind))

    def steps(self, kind: dg.DagsterEventType, *, whole: bool = False) -> Counter[str]:
        """How many events of a kind each op has had, or each of its steps (`whole`)."""
        keys = [event.step_key or "" for event in self.events(kind)]
        return Counter(keys if whole else [key.partition("[")[0] for key in keys])

    def steps_after_the_end(self) -> list[str]:
        """The events of steps that the log of a canceled run has after its end."""
        kinds = [(event.dagster_event_type, event.message) for event in self._cluster.dagster.all_logs(self.id)]
        ended = [kind for kind, _ in kinds].index(dg.DagsterEventType.RUN_CANCELED)
        return [f"{kind}: {message}" for kind, message in kinds[ended:] if kind in STEP_EVENTS]

    def workers(self) -> Counter[str]:
        """How many steps each worker has begun."""
        return Counter(worker for worker, _ in self._begun())

    def at_work(self, name: str, op: str = "") -> list[str]:
        """The steps (of an op) that a worker has begun and not ended."""
        return [step for worker, step in self._under_way() if worker == f"celery@{name}" and step.startswith(op)]

    def first_at_work(self, op: str) -> tuple[str, list[str]] | None:
        """The first worker that has begun steps of an op and not ended them, and these steps."""
        name = next((worker.partition("@")[2] for worker, step in self._under_way() if step.startswith(op)), None)
        return None if name is None else (name, self.at_work(name, op))

    def _under_way(self) -> list[tuple[str, str]]:
        kinds = (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE)
        ended = {event.step_key for kind in kinds for event in self.events(kind)}
        started = {event.step_key for event in self.events(dg.DagsterEventType.STEP_START)} - ended
        return [(worker, step) for worker, step in self._begun() if step in started]

    def _begun(self) -> list[tuple[str, str]]:
        found = []
        for event in self.events(dg.DagsterEventType.ENGINE_EVENT):
            data = event.dagster_event.engine_event_data.metadata if event.dagster_event else {}
            if "Celery worker" in data:
                found.append((str(data["Celery worker"].value), event.step_key or ""))
        return found

    def seconds(self, step: str) -> float:
        """How long a step took."""
        (stats,) = self._cluster.dagster.get_run_step_stats(self.id, [step])
        assert stats.start_time is not None
        assert stats.end_time is not None
        return stats.end_time - stats.start_time
