"""Measure costs: the same pictures in few large tasks and in many small ones, on two real workers.

    python -m benchmarks.capacity.measure          measures, and keeps the figures in costs.json; some minutes
    python -m benchmarks.capacity.measure --show   prints those that were kept

Redis, Postgres, S3 and nginx run for real, as in tests/integration/test_celery.py. CPU seconds and requests are
counted, so that a busy machine makes little difference; wall times of steps are used for nothing but the shares of the
ops in the CPU.
"""

import gzip
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import psutil

from benchmarks import corpus
from benchmarks.capacity.costs import DELETES, GETS, PUTS, STAGES, Costs, load, save
from benchmarks.origin import Nginx
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.ledger import Ledger, Planned, planned_json, settings_json
from imgrelay_dagster.relay.settings import Settings
from tests.support.cluster import Cluster, missing
from tests.support.launched import Launched
from tests.support.s3_proxy import Request, TroubledS3

ENTRIES = {corpus.SMALL: 2_000, corpus.PHOTO: 400}
FEW, MANY, BETWEEN = 4, 40, 16
"""Tasks that the entries are cut into; the last is for seeing whether the costs predict what it takes."""

LINES = 20_000
"""Manifest lines of the run that only plans and reports: no URL of its is one."""


def main() -> None:
    """Measure both kinds of picture and keep the figures."""
    if "--show" not in sys.argv:
        if reason := missing():
            raise SystemExit(f"cannot measure here: {reason}")
        with TemporaryDirectory(prefix="imgrelay-capacity-") as scratch:
            save(_measured(Path(scratch)))
    print(json.dumps({kind: asdict(costs) for kind, costs in load().items()}, indent=1))


def _measured(folder: Path) -> dict[str, Costs]:
    folder.chmod(0o755)  # nginx reads the pictures as a user of its own
    names = corpus.make(folder / "corpus")
    with (
        Nginx(folder / "nginx", folder / "corpus") as origin,
        Cluster(folder / "cluster" / "here") as cluster,
        Meter(cluster) as meter,
    ):
        for name in ("first", "second"):
            cluster.worker(name, 1)
        planning, telling = _lines(cluster, meter)
        measured = {}
        for kind in corpus.KINDS:
            few, many, between = (
                _images(cluster, meter, list(corpus.urls(origin.base(), names[kind], ENTRIES[kind])), tasks)
                for tasks in (FEW, MANY, BETWEEN)
            )
            measured[kind] = _told_apart(few, many, between, (planning, telling, _reading()))
        return measured


@dataclass(frozen=True)
class Measured:
    """One run: what was spent, by name, and what is told of it once."""

    entries: int
    steps: int
    spent: Counter[str]
    shares: dict[str, float]
    summary: dict[str, Any]
    memory: float

    def cpu(self, ops: Iterable[str]) -> float:
        """CPU seconds of the workers for these ops."""
        return self.spent["cpu"] * sum(self.shares[op] for op in ops)


@dataclass
class Meter:
    """Counts what a cluster spends: requests by a proxy before the S3 server; all else is asked what it has used."""

    cluster: Cluster
    requests: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> "Meter":
        self._proxy = TroubledS3(self.cluster.store, self._count).__enter__()
        self.cluster.more["AWS_ENDPOINT_URL_S3"] = self._proxy.environment()["AWS_ENDPOINT_URL_S3"]
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.__exit__(None, None, None)

    def _count(self, request: Request) -> None:
        self.requests[_priced(request)] += 1
        if stage := _waiting(request):
            self.requests[f"waits {stage}"] += 1

    def spent(self) -> Counter[str]:
        """All that was spent so far, by name."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        broker = self.cluster.broker_client.info("cpu")
        with closing(self.cluster.postgres.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("select pg_database_size(current_database())")
            ((size,),) = cursor.fetchall()
        workers = [process for worker in self.cluster.alive().values() for process in worker.processes()]
        server = psutil.Process(self.cluster.postgres.pid)
        cost: dict[str, Any] = {
            **self.requests,
            "cpu": sum(map(_cpu, workers)),
            "loop": used.ru_utime + used.ru_stime,
            "broker": broker["used_cpu_user"] + broker["used_cpu_sys"],
            "database": sum(map(_cpu, [server, *server.children(recursive=True)])),
            "size": size,
        }
        return Counter(cost)

    def memory(self) -> float:
        """The largest worker's, in bytes."""
        return max(
            sum(process.memory_full_info().pss for process in worker.processes())
            for worker in self.cluster.alive().values()
        )


def _priced(request: Request) -> str:
    if request.method in ("GET", "HEAD"):
        return PUTS if "list-type=" in request.query else GETS
    return DELETES if request.method == "DELETE" or request.query.startswith("delete") else PUTS


def _waiting(request: Request) -> str | None:
    """The stage that waits for this request, for each entry or for a pack of them."""
    if request.is_image and not request.key.startswith("staging/") and "/_relay/" not in request.key:
        return "upload"
    for stage, following in (("download", "compose"), ("compose", "upload")):
        if request.key.startswith("staging/") and f"/{stage}/" in request.key:
            return {"PUT": stage, "GET": following}.get(request.method)
    return None


def _cpu(process: psutil.Process) -> float:
    """CPU seconds of a process so far, and of children that have ended; one that has ended itself is its parent's."""
    with suppress(psutil.NoSuchProcess):
        used = process.cpu_times()
        return used.user + used.system + used.children_user + used.children_system
    return 0.0


def _lines(cluster: Cluster, meter: Meter) -> tuple[float, float]:
    """What a line costs in the plan and in the report, where that is all that is done with it."""
    manifest = cluster.put("manifests/lines.txt", [f"ftp://origin.example.com/{n}.jpg" for n in range(LINES)])
    run = _measure(cluster, meter, {"manifest": manifest, "tolerated_failure_percentage": 100}, steps=2)
    return run.cpu(["plan"]) / LINES, run.cpu(["report"]) / LINES


def _reading() -> float:
    """What a line of a ledger costs whoever reads it."""
    with TemporaryFile() as packed:
        with gzip.open(packed, "wb") as lines:
            lines.write(settings_json.dump_json(Settings(dataset="lines", destination="s3://images")) + b"\n")
            for n in range(1, LINES + 1):
                record = Record(n, f"https://origin.example.com/{n}.jpg", key=f"origin.example.com/{n}-{n:016}.jpg")
                lines.write(planned_json.dump_json(Planned(record)) + b"\n")
        packed.seek(0)
        began = time.process_time()
        with Ledger(packed) as ledger:
            assert sum(1 for _ in ledger) == LINES
        return (time.process_time() - began) / LINES


def _images(cluster: Cluster, meter: Meter, urls: list[str], tasks: int) -> Measured:
    size = len(urls) // tasks
    form = {"manifest": cluster.put("manifests/images.txt", urls), "urls_per_task": size, "max_concurrent": 4}
    _measure(cluster, meter, form, steps=3 * tasks + 2)  # first use of everything is not what is measured
    return _measure(cluster, meter, {**form, "refresh": True}, steps=3 * tasks + 2)


def _measure(cluster: Cluster, meter: Meter, form: dict[str, Any], *, steps: int) -> Measured:
    before = meter.spent()
    with cluster.launch(form) as run:
        ran = run.wait(900)
    if ran.code != 0:
        raise RuntimeError(ran.err)
    time.sleep(2)  # until the workers are idle again
    spent = meter.spent()
    spent.subtract(before)
    spent["rows"] = len(cluster.dagster.all_logs(run.id))
    return Measured(ran.summary["entries"], steps, spent, _shares(cluster, run), ran.summary, meter.memory())


def _shares(cluster: Cluster, run: Launched) -> dict[str, float]:
    """How a run's time in steps is spread over the ops."""
    walls: Counter[str] = Counter()
    for step in cluster.dagster.get_run_step_stats(run.id):
        if step.start_time and step.end_time:
            walls[step.step_key.partition("[")[0]] += step.end_time - step.start_time
    return {op: seconds / walls.total() for op, seconds in walls.items()}


def _told_apart(few: Measured, many: Measured, between: Measured, lines: tuple[float, float, float]) -> Costs:
    """Two measurements, two unknowns: what a step costs, and what an entry costs."""

    def solve(name: str) -> tuple[float, float]:
        step = max(0.0, (many.spent[name] - few.spent[name]) / (many.steps - few.steps))
        return max(0.0, (few.spent[name] - step * few.steps) / few.entries), step

    def predicted(name: str) -> float:
        entry, step = solve(name)
        return round((entry * between.entries + step * between.steps) / between.spent[name], 2)

    entry_cpu, step_cpu = solve("cpu")
    stages = sum(few.shares[stage] for stage in STAGES)
    requests = {kind: solve(kind) for kind in (PUTS, GETS, DELETES)}
    return Costs(
        entry_cpu={stage: round(entry_cpu * few.shares[stage] / stages, 6) for stage in STAGES},
        step_cpu=round(step_cpu, 4),
        **{name: round(cost, 6) for name, cost in zip(("planning", "telling", "reading"), lines, strict=True)},
        loop_cpu=round(solve("loop")[1], 4),
        broker_cpu=round(many.spent["broker"] / many.steps, 4),
        waits={stage: round(solve(f"waits {stage}")[0], 2) for stage in STAGES},
        entry_requests={kind: round(entry, 2) for kind, (entry, _) in requests.items()},
        step_requests={kind: round(step, 1) for kind, (_, step) in requests.items()},
        step_rows=round(many.spent["rows"] / many.steps, 1),
        row_cpu=round(many.spent["database"] / many.spent["rows"], 5),
        row_bytes=round(many.spent["size"] / many.spent["rows"]),
        bytes_in=round(few.summary["bytes_in"] / few.entries),
        bytes_out=round(few.summary["bytes_out"] / few.entries),
        slot_memory=round(few.memory),
        predicted={name: predicted(name) for name in ("cpu", PUTS, GETS, "rows", "database")},
    )


if __name__ == "__main__":
    main()
