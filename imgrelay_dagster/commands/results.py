"""`imgrelay results`: what became of each line of a manifest, in the latest run or another one."""

import argparse
import sys
from collections.abc import Iterator

from obstore.store import ObjectStore

from imgrelay_dagster.commands.tables import Lines, looked, say
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.formatting import count
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.records.layout import REPORT, results_prefix
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.records.summary import PARTIAL, Summary, read_summary
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.results.history import dataset_names, past_runs, result_lines

MOST_NAMED = 8
"""Names told of when a wrong one was given."""


def results(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    return looked(_show, arguments)


def _show(arguments: argparse.Namespace, store: ObjectStore, address: str) -> None:
    dataset = _dataset(arguments.dataset, store, address)
    run_id = _run(arguments.run, store, dataset)
    lines = None if arguments.json else Lines(("LINE", "OUTCOME", "REASON", "URL", "DETAIL"), (7, 13, 18))
    shown = 0
    for line in result_lines(store, dataset, run_id):
        record = record_json.validate_json(line)
        if not _wanted(record, arguments):
            continue
        shown += 1
        if lines is None:
            sys.stdout.write(line.decode() + "\n")
        else:
            lines.row(*_row(record))
    summary = read_summary(store, dataset, run_id)
    if summary is not None and lines is not None:
        for told in _told(summary, shown, address):
            say(told)


def _wanted(record: Record, arguments: argparse.Namespace) -> bool:
    if arguments.reason is not None:
        return record.reason is not None and record.reason.value == arguments.reason
    return not arguments.failed or record.outcome is Outcome.FAILED


def _row(record: Record) -> tuple[str, ...]:
    reason = record.reason.value if record.reason else ""
    if record.http_status is not None and record.outcome is Outcome.FAILED:
        reason = f"{reason} {record.http_status}" if reason == "http_status" else reason
    outcome = record.outcome.value if record.outcome else ""
    return str(record.line), outcome, reason, redact(record.url), record.detail or record.key or ""


def _told(summary: Summary, shown: int, address: str) -> Iterator[str]:
    """What the lines do not say, after them: which run, how it ended, where there is more."""
    yield (
        f"{count(shown)} of {count(summary.entries)} lines; run {summary.run_id} of dataset {summary.dataset}: "
        f"{summary.status}, {count(summary.uploaded)} uploaded, {count(summary.unchanged)} unchanged, "
        f"{count(summary.failed)} failed, {count(summary.not_attempted)} not attempted"
    )
    if summary.status == PARTIAL:
        yield "its shard runs go on; until the last one is done, its lines are as of before the first"
    yield f"{address}/{results_prefix(summary.dataset, summary.run_id)}/{REPORT} shows it at a glance"


def _dataset(wanted: str | None, store: ObjectStore, address: str) -> str:
    """The dataset that was asked for; the only one where none was.

    Raises:
        RelayError: there is no such one, or there are several to choose from.
    """
    names = dataset_names(store)
    if not names:
        raise RelayError(f"nothing has been relayed to {address} yet")
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted
    question = "several datasets are there; choose one by --dataset" if wanted is None else f"no dataset {wanted!r}"
    raise RelayError(f"{question}; {address} holds {_few(names)}")


def _run(wanted: str | None, store: ObjectStore, dataset: str) -> str:
    """The run that was asked for by its id or the beginning of it; the latest one where none was.

    Raises:
        RelayError: there is no such one, or there are several.
    """
    run_ids = [run.run_id for run in past_runs(store, dataset)]
    if not run_ids:
        raise RelayError(f"no run of dataset {dataset!r} has its results yet; those of a run are written at its end")
    if wanted is None:
        return run_ids[0]
    found = [run_id for run_id in run_ids if run_id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    trouble = "several runs begin with" if found else "no run"
    raise RelayError(f"{trouble} {wanted!r} in dataset {dataset!r}; there are {_few(found or run_ids)}")


def _few(names: list[str]) -> str:
    more = f" and {count(len(names) - MOST_NAMED)} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
