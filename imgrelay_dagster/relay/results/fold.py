"""Folding a run's ledger and receipts into its results: every manifest line exactly once, in order.

This works the same for a run that reached its report and for one that was canceled or lost: an entry without a receipt
is `not_attempted`. Memory does not grow with the number of entries.
"""

import time
from collections.abc import Callable, Iterator

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.adjustments import Adjustments
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Outcome, Record, Seconds, changed, entry_number
from imgrelay_dagster.relay.records.key_index import StoredKeys
from imgrelay_dagster.relay.records.layout import RESULTS_FILE, ledger_key, run_receipts_prefix
from imgrelay_dagster.relay.records.ledger import BrokenLedger, Ledger, Planned, read_ledger
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex
from imgrelay_dagster.relay.records.receipts import copy_receipts, list_receipts, merge_receipts, read_listed
from imgrelay_dagster.relay.records.summary import Summary, read_summary
from imgrelay_dagster.relay.results.comparison import compare_with_previous
from imgrelay_dagster.relay.results.shard_merge import add_shard_summary
from imgrelay_dagster.relay.results.writer import upload_results, write_result_files
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.objects import clear_unfinished, delete_objects
from imgrelay_dagster.relay.storage.scratch_files import scratch_folder


def write_results(
    store: ObjectStore,
    dataset: str,
    *,
    run_id: str,
    seconds: float,
    status: str | None = None,
    tick: Callable[[], None] = lambda: None,
    adjustments: Adjustments | None = None,
    host_class: Callable[[str], str] | None = None,
) -> Summary | None:
    """Write a run's `results.jsonl`, `failed.jsonl`, `summary.json` and `report.html`, and delete its ledger.

    The results of a shard run are also merged into those of its coordinator. What killed processes left in the
    destination is deleted.

    Args:
        seconds: wall time of the run so far.
        status: how the run ended, if that is known; otherwise it follows from the outcomes.
        tick: called every 500 lines; an exception that it raises ends the work, which can be done again.
        adjustments: what was changed about the run while it was under way.
        host_class: by which failures are counted in the summary; by default the kind of place a URL is.

    Returns:
        The summary; of the existing results if the run has them already. None for a run that was never planned or
        whose ledger is not complete.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    try:
        ledger = read_ledger(store, dataset, run_id, tick=tick)
        if ledger is not None:
            ledger.settings = ledger.settings.with_adjustments(adjustments or Adjustments())
            return _write(store, ledger, run_id, seconds, status, tick, host_class)
    except BrokenLedger:
        delete_objects(store, [ledger_key(dataset, run_id)])
    finally:
        clear_unfinished(store)
    return read_summary(store, dataset, run_id)


def _write(
    store: ObjectStore,
    ledger: Ledger,
    run_id: str,
    seconds: float,
    status: str | None,
    tick: Callable[[], None],
    host_class: Callable[[str], str] | None,
) -> Summary:
    dataset, started = ledger.settings.dataset, time.time() - seconds
    try:
        with (
            ledger,
            scratch_folder() as scratch,
            StoredKeys(scratch / "keys.db") as stored,
        ):
            listed, merged = list_receipts(store, run_receipts_prefix(dataset, run_id)), scratch / "receipts.jsonl"
            with ReceiptIndex(scratch / "receipts.db") as receipts:
                for record, line in copy_receipts(read_listed(store, listed), merged):
                    receipts.add(record.entry, record, line)
                records = stored.watch(_fold(iter(ledger), receipts))
                totals = write_result_files(records, ledger.settings, scratch, run_id, host_class)
            tick()
            compared = None
            if ledger.settings.shard is None and ledger.settings.sample is None:
                whole_list, results = ledger.settings.whole_list, scratch / RESULTS_FILE
                compared = compare_with_previous(store, dataset, run_id, results, whole_list=whole_list, tick=tick)
            summary = upload_results(
                store, totals, scratch, seconds=seconds, status=status, started=started, compared=compared
            )
            if ledger.settings.shard is not None:
                add_shard_summary(store, dataset, ledger.settings.shard, summary)
            merge_receipts(store, run_receipts_prefix(dataset, run_id), listed, merged)
            stored.write(store, dataset)
        tick()
        delete_objects(store, [ledger_key(dataset, run_id)])
    except (BaseError, OSError) as error:
        raise RelayError(f"results cannot be written to {ledger.settings.destination!r}: {explain(error)}") from error
    return summary


def _fold(ledger: Iterator[Planned], receipts: ReceiptIndex) -> Iterator[Record]:
    """The record of each ledger line, with its outcome."""
    for planned in ledger:
        record = planned.record
        if record.outcome is None and planned.same_as is not None:
            yield repeat(record, receipts.get(entry_number(planned.same_as, planned.same_part)))
        elif record.outcome is None:
            yield receipts.get(record.entry) or changed(record, outcome=Outcome.NOT_ATTEMPTED)
        else:
            yield record


def repeat(record: Record, first: Record | None) -> Record:
    """The record of a line that repeats an earlier one: its outcome, without requests, bytes or time of its own."""
    if first is None:
        return changed(record, outcome=Outcome.NOT_ATTEMPTED)
    return changed(
        first,
        line=record.line,
        part=record.part,
        given_url=record.given_url,
        carried=record.carried,
        attempts=0,
        bytes_in=None,
        seconds=Seconds(),
    )
