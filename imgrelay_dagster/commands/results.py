"""`imgrelay results`: shows the outcome of each line of a manifest, in the latest run or another one."""

import argparse
import io
import sys
from collections.abc import Callable, Iterator

from obstore.store import ObjectStore

from imgrelay_dagster.commands.choice import choose_run
from imgrelay_dagster.commands.tables import Table, print_message, run_reading_command
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.formatting import count
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.records.layout import report_key
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.records.summary import PARTIAL, Summary, read_summary
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.results.csv_table import CsvTable, carried_names
from imgrelay_dagster.relay.results.history import result_lines


def results(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    return run_reading_command(_show, arguments)


def _show(arguments: argparse.Namespace, store: ObjectStore, address: str) -> None:
    dataset, run_id = choose_run(store, address, arguments.dataset, arguments.run)
    columns = _columns(arguments, store, dataset, run_id)
    write = _writer(arguments, columns)
    shown = 0
    for line in result_lines(store, dataset, run_id):
        record = record_json.validate_json(line)
        if _is_selected(record, arguments):
            shown += 1
            write(line, record)
    summary = read_summary(store, dataset, run_id)
    if summary is not None and not (arguments.json or arguments.csv):
        for message in _footer(summary, shown, address):
            print_message(message)


def _columns(arguments: argparse.Namespace, store: ObjectStore, dataset: str, run_id: str) -> list[str]:
    """The carried columns to show: those that --column names, or all of them in a CSV file.

    Raises:
        RelayError: a column was not carried along.
    """
    wanted = list(dict.fromkeys(arguments.column))
    if arguments.json or not (arguments.csv or wanted):
        return wanted
    carried = carried_names(map(record_json.validate_json, result_lines(store, dataset, run_id)))
    for name in wanted:
        if name not in carried:
            known = f"it carried {', '.join(carried)}" if carried else "it carried none; see the run config's `carry`"
            raise RelayError(f"run {run_id} of dataset {dataset} did not carry a column {name!r}; {known}")
    return wanted or carried


def _writer(arguments: argparse.Namespace, columns: list[str]) -> Callable[[bytes, Record], object]:
    """The function that prints one line of the results."""
    if arguments.json:
        return lambda line, _: sys.stdout.write(line.decode() + "\n")
    if arguments.csv:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(newline="")  # CSV has its own line ends
        csv_table = CsvTable(sys.stdout, columns)
        return lambda _, record: csv_table.add(record)
    headings = ("LINE", "OUTCOME", "REASON", *(name.upper() for name in columns), "URL", "DETAIL")
    table = Table(headings, (7, 13, 18, *(max(12, len(name)) for name in columns)))
    return lambda _, record: table.row(*_row(record, columns))


def _is_selected(record: Record, arguments: argparse.Namespace) -> bool:
    if arguments.reason is not None:
        return record.reason is not None and record.reason.value == arguments.reason
    return not arguments.failed or record.outcome is Outcome.FAILED


def _row(record: Record, columns: list[str]) -> tuple[str, ...]:
    reason = record.reason.value if record.reason else ""
    if record.http_status is not None and record.outcome is Outcome.FAILED:
        reason = f"{reason} {record.http_status}" if reason == "http_status" else reason
    outcome = record.outcome.value if record.outcome else ""
    carried = (record.carried.get(name, "") for name in columns)
    return str(record.line), outcome, reason, *carried, redact(record.url), record.detail or record.key or ""


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
