"""`imgrelay datasets`: lists the datasets of a destination, one line each, with the totals of the latest run."""

import argparse
import json
import sys

from obstore.store import ObjectStore

from imgrelay_dagster.commands.tables import Table, print_message, run_reading_command
from imgrelay_dagster.relay.formatting import count
from imgrelay_dagster.relay.records.dataset_names import stored_datasets
from imgrelay_dagster.relay.records.summary import Summary, dump_summary, read_summary
from imgrelay_dagster.relay.results.history import PastRun, past_runs


def datasets(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    return run_reading_command(_show, arguments)


def _show(arguments: argparse.Namespace, store: ObjectStore, address: str) -> None:
    names = stored_datasets(store)
    if not names:
        print_message(f"nothing has been relayed to {address} yet")
        return
    table = None if arguments.json else _table(names)
    for name in names:
        runs = past_runs(store, name)
        summary = read_summary(store, name, runs[0].run_id) if runs else None
        if table is None:
            latest = (
                {"at": runs[0].at.isoformat(timespec="seconds"), **json.loads(dump_summary(summary))}
                if summary
                else None
            )
            sys.stdout.write(json.dumps({"dataset": name, "runs": len(runs), "latest": latest}) + "\n")
        elif summary is None:
            table.row(name, "", "no run has ended yet", "", "", "", "0")
        else:
            table.row(name, *_row(runs[0], summary), count(len(runs)))


def _table(names: list[str]) -> Table:
    width = min(40, max(len("DATASET"), *map(len, names)))
    return Table(("DATASET", "LATEST RUN", "STATUS", "ENTRIES", "STORED", "FAILED", "RUNS"), (width, 16, 9, 9, 9, 9))


def _row(run: PastRun, summary: Summary) -> tuple[str, ...]:
    return (
        f"{run.at.astimezone():%Y-%m-%d %H:%M}",
        summary.status,
        count(summary.entries),
        count(summary.uploaded + summary.unchanged),
        count(summary.failed),
    )
