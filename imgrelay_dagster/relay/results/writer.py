"""A run's results: ended records in, `results.jsonl`, `failed.jsonl`, `summary.json` and `report.html` out.

Memory does not grow with the number of records.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from obstore.store import ObjectStore

from imgrelay_dagster.relay.html_report.render import write_page
from imgrelay_dagster.relay.html_report.statistics import RunStatistics
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.records.layout import results_prefix
from imgrelay_dagster.relay.records.receipts import RECEIPTS_TYPE, record_json
from imgrelay_dagster.relay.records.summary import Summary, store_summary
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.stores import put_object

NOT_IN_RESULTS = {"template", "at"}


@dataclass(slots=True)
class RunTotals:
    """What there is to say of a run's records once all were told, beside the files in the scratch folder."""

    run_id: str
    settings: Settings
    gathered: RunStatistics
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    bytes_in: int = 0
    bytes_out: int = 0

    def count(self, record: Record) -> None:
        """Take one ended record."""
        assert record.outcome is not None
        self.gathered.add(record)
        self.outcomes[record.outcome] += 1
        self.bytes_in += record.bytes_in or 0
        if record.outcome is Outcome.UPLOADED and record.attempts:
            self.bytes_out += record.bytes_out or 0
        if record.outcome is Outcome.FAILED and record.reason is not None:
            self.reasons[record.reason.value] += 1

    def status(self) -> str:
        """`success`, or `failure` when something was not attempted or more than the tolerated share failed."""
        # Divided and not multiplied out: 57 of 10,000 is 0.57 % to the last bit, while 10,000 * 0.57 is below 5,700.
        failed_percentage = 100 * self.outcomes[Outcome.FAILED] / max(1, self.outcomes.total())
        tolerated = self.settings.tolerated_failure_percentage
        return "failure" if self.outcomes[Outcome.NOT_ATTEMPTED] or failed_percentage > tolerated else "success"

    def summary(self, seconds: float, status: str | None) -> Summary:
        """The counts, after `seconds` of wall time; the status follows from them unless it is known."""
        uploaded = self.outcomes[Outcome.UPLOADED]
        return Summary(
            run_id=self.run_id,
            dataset=self.settings.dataset,
            status=status or self.status(),
            entries=self.outcomes.total(),
            uploaded=uploaded,
            unchanged=self.outcomes[Outcome.UNCHANGED],
            failed=self.outcomes[Outcome.FAILED],
            not_attempted=self.outcomes[Outcome.NOT_ATTEMPTED],
            reasons=dict(self.reasons.most_common()),
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            seconds=round(seconds, 3),
            images_per_second=round(uploaded / seconds, 2) if seconds > 0 else 0.0,
        )


def write_result_files(records: Iterable[Record], settings: Settings, scratch: Path, run_id: str) -> RunTotals:
    """Write `results.jsonl` and `failed.jsonl` into the scratch folder, and count."""
    told = RunTotals(run_id, settings, RunStatistics(run_id))
    with (scratch / "results.jsonl").open("wb") as results, (scratch / "failed.jsonl").open("wb") as failed:
        for record in records:
            told.count(record)
            if record.outcome is Outcome.FAILED and record.reason is not None:
                _write_failed(failed, record, settings)
            results.write(record_json.dump_json(record, exclude=NOT_IN_RESULTS) + b"\n")
    return told


def upload_results(
    store: ObjectStore, told: RunTotals, scratch: Path, *, seconds: float, status: str | None = None
) -> Summary:
    """Put what was told into the destination; the summary comes last of what others wait for."""
    summary = told.summary(seconds, status)
    prefix = results_prefix(summary.dataset, summary.run_id)
    for name in ("results.jsonl", "failed.jsonl"):
        put_object(store, f"{prefix}/{name}", scratch / name, RECEIPTS_TYPE)
    store_summary(store, summary)
    write_page(store, summary, told.settings, told.gathered)
    return summary


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
