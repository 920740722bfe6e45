"""`imgrelay runs`: lists the runs of the Dagster instance, newest first, as the list of runs in its UI does."""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from itertools import islice

import dagster as dg

from imgrelay_dagster.commands.dagster_home import set_up_dagster_home
from imgrelay_dagster.commands.exit_codes import SUCCESS, WRONG_USAGE
from imgrelay_dagster.commands.tables import Table, print_message
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.runs.queries import is_relay_run, run_records
from imgrelay_dagster.runs.tags import DATASET_TAG, MANIFEST_TAG, RESULTS_TAG

HEADINGS = ("RUN", "STATUS", "STARTED", "SECONDS", "DATASET", "RESULTS", "MANIFEST")
WIDTHS = (8, 9, 16, 8, 20)


def runs(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    try:
        home = set_up_dagster_home()
        with dg.DagsterInstance.get() as instance:
            filters = dg.RunsFilter(tags={DATASET_TAG: arguments.dataset} if arguments.dataset else None)
            relay_runs = (record for record in run_records(instance, filters) if is_relay_run(record.dagster_run))
            found = list(islice(relay_runs, arguments.limit))
    except RelayError as error:
        print_message(str(error))
        return WRONG_USAGE
    if not found:
        print_message(f"no run yet in the Dagster instance {str(home)!r}")
    table = None if arguments.json else Table(HEADINGS, WIDTHS)
    for record in found:
        if table is None:
            sys.stdout.write(json.dumps(_facts(record)) + "\n")
        else:
            table.row(*_row(record))
    return SUCCESS


def _facts(record: dg.RunRecord) -> dict[str, str | float | None]:
    run = record.dagster_run
    started, ended = record.start_time, record.end_time
    return {
        "run_id": run.run_id,
        "status": run.status.value.lower(),
        "job": run.job_name,
        "dataset": run.tags.get(DATASET_TAG),
        "manifest": run.tags.get(MANIFEST_TAG),
        "results": run.tags.get(RESULTS_TAG),
        "started": None if started is None else datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": None if started is None or ended is None else round(ended - started, 3),
    }


def _row(record: dg.RunRecord) -> tuple[str, ...]:
    facts = _facts(record)
    started = seconds = ""
    if record.start_time is not None:
        started = f"{datetime.fromtimestamp(record.start_time):%Y-%m-%d %H:%M}"
        seconds = f"{(record.end_time or time.time()) - record.start_time:.1f}"  # until now, as in the UI
    names = (str(facts[name] or "") for name in ("dataset", "results", "manifest"))
    return str(facts["run_id"])[:8], str(facts["status"]), started, seconds, *names
