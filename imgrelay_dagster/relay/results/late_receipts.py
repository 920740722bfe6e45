"""Receipts that arrive after the results of their run: results and summary are written again with them.

A canceled run waits only for a limited time until its steps have ended. What a step stores after that has a receipt,
but is `not_attempted` in the run's results. Once a run has its results, its receipts are in one object; every other
object of receipts beside it came later.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.records.comparison import Comparison
from imgrelay_dagster.relay.records.key_index import StoredKeys
from imgrelay_dagster.relay.records.layout import (
    LEDGER_FILE,
    MERGED_RECEIPTS_SUFFIX,
    RECEIPTS_SUFFIX,
    RESULTS_FILE,
    failed_key,
    receipts_prefix,
    results_key,
    run_receipts_prefix,
)
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex
from imgrelay_dagster.relay.records.receipts import (
    copy_receipts,
    list_receipts,
    merge_receipts,
    read_listed,
    record_json,
)
from imgrelay_dagster.relay.records.run_settings import read_run_settings
from imgrelay_dagster.relay.records.summary import Summary, read_summary
from imgrelay_dagster.relay.results.comparison import compare_with
from imgrelay_dagster.relay.results.fold import repeat
from imgrelay_dagster.relay.results.history import object_lines, past_runs
from imgrelay_dagster.relay.results.shard_merge import add_shard_summary
from imgrelay_dagster.relay.results.writer import upload_results, write_result_files
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.scratch_files import scratch_folder

_EXPECTED = ("sha256", "md5", "size", "version")
"""The columns of `failed.jsonl` that say what an image must be."""


def runs_with_late_receipts(store: ObjectStore, dataset: str, run_id: str | None = None) -> list[str]:
    """The runs of a dataset that have results and, beside them, receipts that arrived later.

    Args:
        run_id: look at this run only.

    Raises:
        RelayError: the destination cannot be read.
    """
    prefix = receipts_prefix(dataset) if run_id is None else run_receipts_prefix(dataset, run_id)
    newest: dict[str, datetime] = {}
    merged, unfinished = set(), set()
    try:
        for chunk in store.list(prefix):
            for meta in chunk:
                folder, _, name = meta["path"].rpartition("/")
                run = folder.rpartition("/")[2]
                if name == LEDGER_FILE:
                    unfinished.add(run)
                elif f"/{name}" == MERGED_RECEIPTS_SUFFIX:
                    merged.add(run)
                elif name.endswith(RECEIPTS_SUFFIX):
                    newest[run] = max(meta["last_modified"], newest.get(run, meta["last_modified"]))
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    if not newest.keys() - unfinished:
        return []
    written = {run.run_id: run.at for run in past_runs(store, dataset)}
    found = [run for run in newest if run in written and run not in unfinished]
    # Results that were made from no receipts, or by an earlier version from a single object, have no merged object.
    return [run for run in found if run in merged or newest[run] >= written[run]]


def add_late_receipts(
    store: ObjectStore,
    dataset: str,
    run_id: str,
    *,
    tick: Callable[[], None] = lambda: None,
    host_class: Callable[[str], str] | None = None,
) -> Summary | None:
    """Write the results and the summary of a run again, with all receipts that it has by now.

    Args:
        tick: called every 500 lines; an exception that it raises ends the work, which can be done again.
        host_class: by which failures are counted in the summary.

    Returns:
        The new summary; None for a run that has no results.

    Raises:
        RelayError: the destination cannot be read or written, or the results are not valid.
    """
    old = read_summary(store, dataset, run_id)
    if old is None:
        return None
    settings = read_run_settings(store, dataset, run_id) or Settings(dataset, "")
    prefix = run_receipts_prefix(dataset, run_id)
    try:
        with (
            scratch_folder() as scratch,
            StoredKeys(scratch / "keys.db") as stored,
            ReceiptIndex(scratch / "receipts.db") as receipts,
        ):
            listed, merged = list_receipts(store, prefix), scratch / "receipts.jsonl"
            for receipt, line in copy_receipts(read_listed(store, listed), merged):
                receipts.add(receipt.entry, receipt, line)
                if receipt.key_identity is not None:
                    receipts.add(receipt.key_identity, receipt, line)
            records = stored.watch(_with_receipts(_known_records(store, settings, run_id, tick), receipts))
            totals = write_result_files(records, settings, scratch, run_id, host_class)
            compared = _compared(store, old, scratch / RESULTS_FILE, tick)
            summary = upload_results(
                store,
                totals,
                scratch,
                seconds=old.seconds,
                status=old.status,
                started=_start(old),
                compared=compared,
                again=True,
            )
            if settings.shard is not None:
                add_shard_summary(store, dataset, settings.shard, summary)
            stored.write(store, dataset)
            merge_receipts(store, prefix, listed, merged)
    except (BaseError, OSError) as error:
        raise RelayError(f"results of run {run_id} cannot be written: {explain(error)}") from error
    except ValidationError as error:
        raise RelayError(f"results of run {run_id} are not valid: {results_key(dataset, run_id)}") from error
    return summary


def _with_receipts(records: Iterator[Record], receipts: ReceiptIndex) -> Iterator[Record]:
    """The records, those of entries that have a receipt replaced by it."""
    for record in records:
        found = receipts.get(record.entry)
        if found is None and record.outcome is Outcome.NOT_ATTEMPTED and record.key is not None:
            first = receipts.get(record.key)  # this line repeats the one with the receipt
            found = None if first is None else repeat(record, first)
        yield found or record


def _known_records(store: ObjectStore, settings: Settings, run_id: str, tick: Callable[[], None]) -> Iterator[Record]:
    """The records in `results.jsonl`; those of failed entries with what only `failed.jsonl` says of them."""
    failed = object_lines(store, failed_key(settings.dataset, run_id))
    for number, line in enumerate(object_lines(store, results_key(settings.dataset, run_id))):
        if number % 500 == 0:
            tick()
        record = record_json.validate_json(line)
        yield _completed(record, json.loads(next(failed, b"{}")), settings) if _is_failed(record) else record


def _is_failed(record: Record) -> bool:
    return record.outcome is Outcome.FAILED and record.reason is not None


def _completed(record: Record, row: dict[str, Any], settings: Settings) -> Record:
    """A failed record with the fields that `results.jsonl` leaves out, from its row in `failed.jsonl`."""
    if row.get("url") != record.url:
        return record
    planned_key = None
    if record.key is not None:
        identity = row.get("key") or settings.default_key(record.url)
        planned_key = identity if identity != record.key else None
    return replace(
        record,
        template=row.get("template"),
        focus=row.get("focus"),
        expected={name: row[name] for name in _EXPECTED if name in row},
        fallback_urls=tuple(row.get("fallback_url", ())),
        planned_key=planned_key,
    )


def _start(summary: Summary) -> float | None:
    """When the run started, in seconds since the epoch, so that both of its times stay as they are to the second."""
    if not summary.started_at:
        return None
    started, ended = (datetime.fromisoformat(at).timestamp() for at in (summary.started_at, summary.ended_at))
    return max(started, ended - summary.seconds)


def _compared(store: ObjectStore, old: Summary, results: Path, tick: Callable[[], None]) -> Comparison | None:
    """The comparison with the same earlier run as before."""
    if old.compared is None:
        return None
    previous = old.compared.run_id
    return compare_with(store, old.dataset, previous, results, whole_list=old.whole_list, tick=tick)
