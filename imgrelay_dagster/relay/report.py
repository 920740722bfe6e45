"""Folding a run's ledger and receipts into its results: every manifest line, exactly once, in order.

Works the same for a run that ended as it should and for one that was cancelled or lost: what has no receipt is
`not_attempted`. Memory does not grow with the number of entries.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.ledger import Ledger, Planned, ledger_key, read_ledger
from imgrelay_dagster.relay.outcomes import Outcome, Record, Seconds
from imgrelay_dagster.relay.page.gather import Gathered
from imgrelay_dagster.relay.page.write import write_page
from imgrelay_dagster.relay.receipts import ReceiptIndex, merge_receipts, read_receipts, record_json, run_receipts
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.stores import explain
from imgrelay_dagster.relay.summary import Summary, read_summary, results_prefix, summary_json

__all__ = ["Summary", "read_summary", "results_prefix", "summary_json", "write_results"]

NOT_IN_RESULTS = {"template", "at"}


def write_results(
    store: ObjectStore, dataset: str, *, run_id: str, seconds: float, status: str | None = None
) -> Summary | None:
    """Write `results.jsonl`, `failed.jsonl`, `summary.json` and `report.html`, drop the ledger, and return the summary.

    A run that has its results already gets the summary of them; one that was never planned has none.

    Args:
        seconds: wall time of the run so far.
        status: how the run ended, where that is known; otherwise it follows from the outcomes.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    ledger = read_ledger(store, dataset, run_id)
    if ledger is None:
        return read_summary(store, dataset, run_id)
    try:
        with ledger, tempfile.TemporaryDirectory(prefix="imgrelay-") as scratch:
            gathered = Gathered(run_id)
            summary = _fold(store, ledger, Path(scratch), run_id, seconds, status, gathered)
            prefix = results_prefix(dataset, run_id)
            (Path(scratch) / "summary.json").write_bytes(summary_json.dump_json(summary, indent=2) + b"\n")
            for name in ("results.jsonl", "failed.jsonl", "summary.json"):
                store.put(f"{prefix}/{name}", Path(scratch) / name)
            write_page(store, summary, ledger.settings, gathered)
            merge_receipts(store, run_receipts(dataset, run_id), Path(scratch))
        store.delete(ledger_key(dataset, run_id))
    except (BaseError, OSError) as error:
        raise RelayError(f"results cannot be written to {ledger.settings.destination!r}: {explain(error)}") from error
    return summary


def _fold(
    store: ObjectStore,
    ledger: Ledger,
    scratch: Path,
    run_id: str,
    seconds: float,
    status: str | None,
    gathered: Gathered,
) -> Summary:
    settings = ledger.settings
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    traffic: Counter[str] = Counter()
    with (
        ReceiptIndex(scratch / "receipts.db") as receipts,
        (scratch / "results.jsonl").open("wb") as results,
        (scratch / "failed.jsonl").open("wb") as failed,
    ):
        for record in read_receipts(store, run_receipts(settings.dataset, run_id)):
            receipts.add(record.line, record)
        for record in _settled(iter(ledger), receipts):
            assert record.outcome is not None
            gathered.add(record)
            outcomes[record.outcome] += 1
            traffic["in"] += record.bytes_in or 0
            if record.outcome is Outcome.UPLOADED and record.attempts:
                traffic["out"] += record.bytes_out or 0
            if record.outcome is Outcome.FAILED and record.reason is not None:
                reasons[record.reason.value] += 1
                _write_failed(failed, record, settings)
            results.write(record_json.dump_json(record, exclude=NOT_IN_RESULTS) + b"\n")
    entries = outcomes.total()
    uploaded = outcomes[Outcome.UPLOADED]
    return Summary(
        run_id=run_id,
        dataset=settings.dataset,
        status=status or _status(outcomes, settings),
        entries=entries,
        uploaded=uploaded,
        unchanged=outcomes[Outcome.UNCHANGED],
        failed=outcomes[Outcome.FAILED],
        not_attempted=outcomes[Outcome.NOT_ATTEMPTED],
        reasons=dict(reasons.most_common()),
        bytes_in=traffic["in"],
        bytes_out=traffic["out"],
        seconds=round(seconds, 3),
        images_per_second=round(uploaded / seconds, 2) if seconds > 0 else 0.0,
    )


def _status(outcomes: Counter[str], settings: Settings) -> str:
    # Divided and not multiplied out: 57 of 10,000 is 0.57 % to the last bit, while 10,000 * 0.57 is below 5,700.
    failed_percentage = 100 * outcomes[Outcome.FAILED] / max(1, outcomes.total())
    if outcomes[Outcome.NOT_ATTEMPTED] or failed_percentage > settings.tolerated_failure_percentage:
        return "failure"
    return "success"


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


def _write_failed(failed: IO[bytes], record: Record, settings: Settings) -> None:
    """One line of `failed.jsonl`: a manifest row that gives this entry the same key and template again."""
    row: dict[str, object] = {"url": record.url}
    if record.key is not None and record.key != settings.default_key(record.url):
        row["key"] = record.key
    if record.template not in (None, settings.template):
        row["template"] = record.template
    row["reason"] = record.reason
    row["detail"] = record.detail
    failed.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
