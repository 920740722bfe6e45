"""Measures the costs: relays the same pictures in few large tasks and in many small ones, on two real workers.

    python -m benchmarks.capacity.measure          measures, and writes costs.json; takes some minutes
    python -m benchmarks.capacity.measure --show   prints the stored costs

Redis, Postgres, S3 server and nginx are real, as in tests/integration/test_celery.py. It counts CPU seconds and
requests, so that other load on the machine matters little. Wall times of steps are only used to divide the CPU between
the ops.
"""

import gzip
import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from benchmarks import corpus
from benchmarks.capacity.cluster_meter import Measured, Meter
from benchmarks.capacity.costs import DELETES, GETS, PUTS, STAGES, Costs, load, save
from benchmarks.origin import Nginx
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.ledger import Ledger, Planned, planned_json, settings_json
from imgrelay_dagster.relay.settings import Settings
from tests.support.celery_cluster import Cluster, missing
from tests.support.celery_run import CeleryRun

ENTRIES = {corpus.SMALL: 2_000, corpus.PHOTO: 400}
FEW, MANY, BETWEEN = 4, 40, 16
"""Numbers of tasks that the entries are split into. The last one checks what the costs predict."""

LINES = 20_000
"""Manifest lines of the run that only plans and reports, because none of its URLs is valid."""


def main() -> None:
    """Measure both kinds of picture, store the costs and print them."""
    if "--show" not in sys.argv:
        if reason := missing():
            raise SystemExit(f"cannot measure here: {reason}")
        with TemporaryDirectory(prefix="imgrelay-capacity-") as scratch:
            save(_measure_costs(Path(scratch)))
    print(json.dumps({kind: asdict(costs) for kind, costs in load().items()}, indent=1))


def _measure_costs(folder: Path) -> dict[str, Costs]:
    folder.chmod(0o755)  # nginx reads the pictures as another user
    names = corpus.make(folder / "corpus")
    with (
        Nginx(folder / "nginx", folder / "corpus") as origin,
        Cluster(folder / "cluster" / "here") as cluster,
        Meter(cluster) as meter,
    ):
        for name in ("first", "second"):
            cluster.worker(name, 1)
        planning, reporting = _measure_lines(cluster, meter)
        measured = {}
        for kind in corpus.KINDS:
            few, many, between = (
                _measure_images(cluster, meter, list(corpus.urls(origin.bases(), names[kind], ENTRIES[kind])), tasks)
                for tasks in (FEW, MANY, BETWEEN)
            )
            measured[kind] = _solve_costs(few, many, between, (planning, reporting, _measure_ledger()))
        return measured


def _measure_lines(cluster: Cluster, meter: Meter) -> tuple[float, float]:
    """Return the CPU seconds per manifest line in `plan` and in `report`, of a run that does nothing else."""
    manifest = cluster.put("manifests/lines.txt", [f"ftp://origin.example.com/{n}.jpg" for n in range(LINES)])
    run = _measure(cluster, meter, {"manifest": manifest, "tolerated_failure_percentage": 100}, steps=2)
    return run.cpu(["plan"]) / LINES, run.cpu(["report"]) / LINES


def _measure_ledger() -> float:
    """Return the CPU seconds for reading one ledger line."""
    with TemporaryFile() as packed:
        with gzip.open(packed, "wb") as lines:
            lines.write(settings_json.dump_json(Settings(dataset="lines", destination="s3://images")) + b"\n")
            for n in range(1, LINES + 1):
                record = Record(n, f"https://origin.example.com/{n}.jpg", key=f"origin.example.com/{n}-{n:016}.jpg")
                lines.write(planned_json.dump_json(Planned(record)) + b"\n")
        packed.seek(0)
        started = time.process_time()
        with Ledger(packed) as ledger:
            assert sum(1 for _ in ledger) == LINES
        return (time.process_time() - started) / LINES


def _measure_images(cluster: Cluster, meter: Meter, urls: list[str], tasks: int) -> Measured:
    size = len(urls) // tasks
    form = {"manifest": cluster.put("manifests/images.txt", urls), "urls_per_task": size, "max_concurrent": 4}
    _measure(cluster, meter, form, steps=3 * tasks + 2)  # warm-up, not measured
    return _measure(cluster, meter, {**form, "refresh": True}, steps=3 * tasks + 2)


def _measure(cluster: Cluster, meter: Meter, form: dict[str, Any], *, steps: int) -> Measured:
    before = meter.spent()
    with cluster.launch(form) as run:
        ran = run.wait(900)
    if ran.code != 0:
        raise RuntimeError(ran.err)
    time.sleep(2)  # wait until the workers are idle again
    spent = meter.spent()
    spent.subtract(before)
    spent["rows"] = len(cluster.dagster.all_logs(run.id))
    return Measured(ran.summary["entries"], steps, spent, _shares(cluster, run), ran.summary, meter.memory())


def _shares(cluster: Cluster, run: CeleryRun) -> dict[str, float]:
    """Return each op's share of the time that the run spent in steps."""
    walls: Counter[str] = Counter()
    for step in cluster.dagster.get_run_step_stats(run.id):
        if step.start_time and step.end_time:
            walls[step.step_key.partition("[")[0]] += step.end_time - step.start_time
    return {op: seconds / walls.total() for op, seconds in walls.items()}


def _solve_costs(few: Measured, many: Measured, between: Measured, lines: tuple[float, float, float]) -> Costs:
    """Compute the cost of a step and of an entry from two measurements; `between` checks the prediction."""

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
        **{name: round(cost, 6) for name, cost in zip(("planning", "reporting", "reading"), lines, strict=True)},
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
