"""Measures the CPU of planning and reporting per entry, by manifest size: the engine's part of ops `plan` and `report`.

python -m benchmarks.planning [ENTRIES ...]
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.reader import read_lines
from imgrelay_dagster.relay.outcomes import Outcome, Seconds
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.stores import open_store


def main() -> None:
    """Print a table with one row per number of entries."""
    print(
        "| entries | plan and receipts: CPU s | ms per entry | report: CPU s | ms per entry | second plan: CPU s "
        "| peak, MiB |"
    )
    print("|---|---|---|---|---|---|---|")
    for entries in map(int, sys.argv[1:] or ("1000", "10000", "100000")):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(measure, (entries,)), flush=True)


def measure(entries: int) -> str:
    """Return one row: plan a manifest, write receipts for all entries, report, and plan it again."""
    settings = Settings(dataset="plan", destination="")
    with tempfile.TemporaryDirectory() as folder:
        store, scratch = open_store(f"{folder}/out"), Path(folder)
        settings = replace(settings, destination=f"{folder}/out")

        def plan(run_id: str) -> int:
            rows = read_lines("\n".join(f"http://192.0.2.1/{number}/a.jpg" for number in range(entries)))
            templates = TemplateFolder.shipped()
            plan_result = plan_run(rows, settings, run_id=run_id, store=store, templates=templates, scratch=scratch)
            tasks = list(plan_result.tasks())
            for task in tasks:
                with ReceiptWriter(store, run_receipts_prefix("plan", run_id), task.name) as receipts:
                    for record in task.records:
                        done = {"outcome": Outcome.UPLOADED, "attempts": 1, "http_status": 200, "bytes_in": 9}
                        stored = {"bytes_out": 9, "width": 3, "height": 2, "sha256": "0" * 64, "at": time.time()}
                        receipts.add(replace(record, seconds=Seconds(1.5, 0.5, 0.5), **done, **stored))  # type: ignore[arg-type]
            return plan_result.left

        started = time.process_time()
        assert plan("one") == entries
        planned = time.process_time()
        assert write_results(store, "plan", run_id="one", seconds=1.0) is not None
        reported = time.process_time()
        assert plan("two") == 0
        again = time.process_time() - reported
    plan_cpu, report_cpu = planned - started, reported - planned
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = 1000 / entries
    return (
        f"| {entries:,} | {plan_cpu:.2f} | {plan_cpu * each:.3f} | {report_cpu:.2f} | {report_cpu * each:.3f} "
        f"| {again:.2f} | {peak:.0f} |"
    )


if __name__ == "__main__":
    main()
