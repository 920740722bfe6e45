"""Folding a run's ledger and receipts into its results: every manifest line, exactly once, in order.

Works the same for a run that ended as it should and for one that was cancelled or lost: what has no receipt is
`not_attempted`. Memory does not grow with the number of entries.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Outcome, Record, Seconds
from imgrelay_dagster.relay.records.layout import ledger_key, results_prefix, run_receipts
from imgrelay_dagster.relay.records.ledger import BrokenLedger, Ledger, Planned, read_ledger
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex
from imgrelay_dagster.relay.records.receipts import merge_receipts, read_receipts
from imgrelay_dagster.relay.records.summary import Summary, read_summary, summary_json
from imgrelay_dagster.relay.results.shard_merge import add_part
from imgrelay_dagster.relay.results.writer import RunTotals, upload_results, write_result_files
from imgrelay_dagster.relay.storage.stores import delete_objects, explain

__all__ = ["Summary", "read_summary", "results_prefix", "summary_json", "write_results"]


def write_results(
    store: ObjectStore,
    dataset: str,
    *,
    run_id: str,
    seconds: float,
    status: str | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Summary | None:
    """Write `results.jsonl`, `failed.jsonl`, `summary.json` and `report.html`, drop the ledger, and return the summary.

    A shard's results are joined to those of its coordinator. A run that has its results already gets the summary of
    them; one that was never planned has none, nor has one whose ledger did not survive the loss of its machine.

    Args:
        seconds: wall time of the run so far.
        status: how the run ended, where that is known; otherwise it follows from the outcomes.
        tick: called now and then; what it raises ends the work, which may be done again.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    try:
        ledger = read_ledger(store, dataset, run_id, tick=tick)
        if ledger is not None:
            return _write(store, ledger, run_id, seconds, status, tick)
    except BrokenLedger:
        delete_objects(store, [ledger_key(dataset, run_id)])
    return read_summary(store, dataset, run_id)


def _write(
    store: ObjectStore, ledger: Ledger, run_id: str, seconds: float, status: str | None, tick: Callable[[], None]
) -> Summary:
    dataset = ledger.settings.dataset
    try:
        with ledger, tempfile.TemporaryDirectory(prefix="imgrelay-") as scratch:
            told = _fold(store, ledger, Path(scratch), run_id)
            tick()
            summary = upload_results(store, told, Path(scratch), seconds=seconds, status=status)
            if ledger.settings.shard is not None:
                add_part(store, dataset, ledger.settings.shard, summary)
            merge_receipts(store, run_receipts(dataset, run_id), Path(scratch))
        tick()
        delete_objects(store, [ledger_key(dataset, run_id)])
    except (BaseError, OSError) as error:
        raise RelayError(f"results cannot be written to {ledger.settings.destination!r}: {explain(error)}") from error
    return summary


def _fold(store: ObjectStore, ledger: Ledger, scratch: Path, run_id: str) -> RunTotals:
    with ReceiptIndex(scratch / "receipts.db") as receipts:
        for record in read_receipts(store, run_receipts(ledger.settings.dataset, run_id)):
            receipts.add(record.line, record)
        return write_result_files(_settled(iter(ledger), receipts), ledger.settings, scratch, run_id)


def _settled(ledger: Iterator[Planned], receipts: ReceiptIndex) -> Iterator[Record]:
    """Each ledger line with its outcome."""
    for planned in ledger:
        record = planned.record
        if record.outcome is None and planned.same_as is not None:
            yield _repeated(record, receipts.get(planned.same_as))
        elif record.outcome is None:
            yield receipts.get(record.line) or replace(record, outcome=Outcome.NOT_ATTEMPTED)
        else:
            yield record


def _repeated(record: Record, first: Record | None) -> Record:
    """A line that repeats an earlier one: the same outcome, at no cost of its own."""
    if first is None:
        return replace(record, outcome=Outcome.NOT_ATTEMPTED)
    return replace(first, line=record.line, attempts=0, bytes_in=None, seconds=Seconds())
