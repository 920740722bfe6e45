"""`imgrelay results`: shows the outcome of each line of a manifest, in the latest run or another one."""

import argparse
import sys
from collections.abc import Iterator

from obstore.store import ObjectStore

from imgrelay_dagster.commands.tables import Table, print_message, run_reading_command
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.formatting import count
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.records.layout import report_key
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.records.summary import PARTIAL, Summary, read_summary
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.results.history import dataset_names, past_runs, result_lines

NAMES_SHOWN = 8
"""How many valid names an error message lists."""


def results(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    return run_reading_command(_show, arguments)


def _show(arguments: argparse.Namespace, store: ObjectStore, address: str) -> None:
    dataset = _dataset(arguments.dataset, store, address)
    run_id = _run(arguments.run, store, dataset)
    table = None if arguments.json else Table(("LINE", "OUTCOME", "REASON", "URL", "DETAIL"), (7, 13, 18))
    shown = 0
    for line in result_lines(store, dataset, run_id):
        record = record_json.validate_json(line)
        if not _is_selected(record, arguments):
            continue
        shown += 1
        if table is None:
            sys.stdout.write(line.decode() + "\n")
        else:
            table.row(*_row(record))
    summary = read_summary(store, dataset, run_id)
    if summary is not None and table is not None:
        for message in _footer(summary, shown, address):
            print_message(message)


def _is_selected(record: Record, arguments: argparse.Namespace) -> bool:
    if arguments.reason is not None:
        return record.reason is not None and record.reason.value == arguments.reason
    return not arguments.failed or record.outcome is Outcome.FAILED


def _row(record: Record) -> tuple[str, ...]:
    reason = record.reason.value if record.reason else ""
    if record.http_status is not None and record.outcome is Outcome.FAILED:
        reason = f"{reason} {record.http_status}" if reason == "http_status" else reason
    outcome = record.outcome.value if record.outcome else ""
    return str(record.line), outcome, reason, redact(record.url), record.detail or record.key or ""


def _footer(summary: Summary, shown: int, address: str) -> Iterator[str]:
    """Yield the messages after the table: which run it is, how it ended, where its report is."""
    yield (
        f"{count(shown)} of {count(summary.entries)} lines; run {summary.run_id} of dataset {summary.dataset}: "
        f"{summary.status}, {count(summary.uploaded)} uploaded, {count(summary.unchanged)} unchanged, "
        f"{count(summary.failed)} failed, {count(summary.not_attempted)} not attempted"
    )
    if summary.status == PARTIAL:
        yield "its shard runs are not finished; until they are, the lines show the state before the first of them"
    yield f"{address}/{report_key(summary.dataset, summary.run_id)} shows an overview"


def _dataset(wanted: str | None, store: ObjectStore, address: str) -> str:
    """Return the dataset named by --dataset, or the only dataset if the option is not given.

    Raises:
        RelayError: the dataset does not exist, or the option is not given and there are several datasets.
    """
    names = dataset_names(store)
    if not names:
        raise RelayError(f"nothing has been relayed to {address} yet")
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted
    problem = "there are several datasets; choose one with --dataset" if wanted is None else f"no dataset {wanted!r}"
    raise RelayError(f"{problem}; {address} holds {_shortened(names)}")


def _run(wanted: str | None, store: ObjectStore, dataset: str) -> str:
    """Return the ID of the run that --run names by its ID or the beginning of it, or of the latest run.

    Raises:
        RelayError: no run matches, or several do.
    """
    run_ids = [run.run_id for run in past_runs(store, dataset)]
    if not run_ids:
        raise RelayError(f"no run of dataset {dataset!r} has results yet; a run writes them at its end")
    if wanted is None:
        return run_ids[0]
    found = [run_id for run_id in run_ids if run_id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    problem = "several runs begin with" if found else "no run"
    raise RelayError(f"{problem} {wanted!r} in dataset {dataset!r}; there are {_shortened(found or run_ids)}")


def _shortened(names: list[str]) -> str:
    more = f" and {count(len(names) - NAMES_SHOWN)} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
