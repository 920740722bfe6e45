"""Writing a run's results from its records: `results.jsonl`, `failed.jsonl`, `summary.json` and `report.html`.

Memory does not grow with the number of records.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from obstore.store import ObjectStore

from imgrelay_dagster.relay.html_report.render import write_html_report
from imgrelay_dagster.relay.html_report.run_notes import stretched_template
from imgrelay_dagster.relay.html_report.statistics import RunStatistics, host_of
from imgrelay_dagster.relay.outcomes import NOT_ASKED, Outcome, Record, Stage
from imgrelay_dagster.relay.records.comparison import Comparison
from imgrelay_dagster.relay.records.forecast import Forecast, forecast
from imgrelay_dagster.relay.records.layout import (
    FAILED_FILE,
    FAILED_TABLE_FILE,
    PARQUET_FILE,
    RESULTS_FILE,
    failed_key,
    failed_table_key,
    parquet_key,
    results_key,
)
from imgrelay_dagster.relay.records.receipts import RECEIPTS_TYPE, record_json
from imgrelay_dagster.relay.records.run_settings import write_run_settings
from imgrelay_dagster.relay.records.summary import Summary, write_summary
from imgrelay_dagster.relay.results.csv_table import write_failed_table
from imgrelay_dagster.relay.results.parquet_results import PARQUET_TYPE, wants_parquet, write_parquet
from imgrelay_dagster.relay.results.stored_times import StoredTimes
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.addresses import is_remote
from imgrelay_dagster.relay.storage.objects import put_object

MAX_CARRIED_COLUMNS = 1_000
"""Carried columns of `results.parquet`: objects of JSON lines may each have other names."""

NOT_IN_RESULTS = {
    "template", "at", "decoder", "expected", "fallback_urls", "validators", "earlier", "focus", "planned_key",
}  # fmt: skip
"""Fields of a record that `results.jsonl` leaves out."""


@dataclass(slots=True)
class RunTotals:
    """The counts and statistics of a run's records."""

    run_id: str
    settings: Settings
    statistics: RunStatistics
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    not_asked: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    carried: dict[str, None] = field(default_factory=dict)
    stored: StoredTimes = field(default_factory=StoredTimes)
    host_class: Callable[[str], str] = lambda url: source_kind(url)[0]
    stage_seconds: Counter[str] = field(default_factory=Counter)
    failures_by_host: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Add the record of a finished entry."""
        assert record.outcome is not None
        self.statistics.add(record)
        if record.carried.keys() - self.carried.keys() and len(self.carried) < MAX_CARRIED_COLUMNS:
            self.carried |= dict.fromkeys(record.carried)
        self.outcomes[record.outcome] += 1
        self.bytes_in += record.bytes_in or 0
        if record.outcome is Outcome.UPLOADED and record.bytes_in is not None:  # None for a repeated line
            self.bytes_out += record.bytes_out or 0
            if record.at is not None:
                self.stored.add(record.at)
        for stage in Stage:
            self.stage_seconds[stage.value] += getattr(record.seconds, stage.value)
        if record.outcome is Outcome.FAILED and record.reason is not None:
            self._add_failure(record, record.reason.value)

    def _add_failure(self, record: Record, reason: str) -> None:
        self.reasons[reason] += 1
        if (record.detail or "").startswith(NOT_ASKED):
            self.not_asked += 1
        else:
            self.failures_by_host.setdefault(self.host_class(record.url), Counter())[reason] += 1

    def status(self) -> str:
        """`failure` if an entry was not attempted or more than the tolerated percentage failed, otherwise `success`."""
        # A division, because 100 * 57 / 10,000 is exactly 0.57 in binary floats, while 10,000 * 0.57 is below 5,700.
        failed_percentage = 100 * self.outcomes[Outcome.FAILED] / max(1, self.outcomes.total())
        tolerated = self.settings.tolerated_failure_percentage
        return "failure" if self.outcomes[Outcome.NOT_ATTEMPTED] or failed_percentage > tolerated else "success"

    def summary(
        self, seconds: float, status: str | None, started: float | None = None, compared: Comparison | None = None
    ) -> Summary:
        """The summary of the run.

        Args:
            seconds: wall time of the run.
            status: how the run ended; None derives it from the counts.
            started: when the run started, in seconds since the epoch, if it is known.
            compared: what is different from the previous run.
        """
        first, gap = self.stored.first, self.stored.largest_gap
        uploaded = self.outcomes[Outcome.UPLOADED]
        return Summary(
            run_id=self.run_id,
            dataset=self.settings.dataset,
            whole_list=self.settings.whole_list,
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
            first_image_seconds=None if first is None or started is None else round(max(0.0, first - started), 3),
            largest_gap_seconds=None if gap is None else round(gap, 3),
            not_asked=self.not_asked,
            forecast=self._forecast(seconds, started),
            shared_sources={source.digest: source.urls for source in self.statistics.sources.most_shared()},
            adjusted=self.settings.adjusted,
            compared=compared,
            started_at="" if started is None else _utc(started),
            ended_at="" if started is None else _utc(started + seconds),
            stage_seconds={stage: round(seconds, 3) for stage, seconds in self.stage_seconds.items() if seconds},
            failures_by_host={name: dict(reasons) for name, reasons in self.failures_by_host.items()},
        )

    def _forecast(self, seconds: float, started: float | None) -> Forecast | None:
        """What the whole list would take, if the run is a sample of one."""
        if self.settings.sample is None:
            return None
        first = self.stored.first
        return forecast(
            self.settings.sample.of,
            sampled=self.outcomes.total() - self.outcomes[Outcome.NOT_ATTEMPTED],
            seconds=seconds,
            first_image_seconds=None if first is None or started is None else max(0.0, first - started),
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            requests=self.statistics.requests,
            reasons=self.reasons,
        )


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def source_kind(url: str) -> tuple[str, str]:
    """The kind of place that an original comes from: `web` with its host, `store` or `folder`."""
    if not url.lower().startswith(("http://", "https://")):
        return ("store" if is_remote(url) else "folder"), ""
    return "web", host_of(url)


def write_result_files(
    records: Iterable[Record],
    settings: Settings,
    scratch: Path,
    run_id: str,
    host_class: Callable[[str], str] | None = None,
) -> RunTotals:
    """Write `results.jsonl` and `failed.jsonl` into the folder `scratch`; return the totals of the records."""
    totals = RunTotals(run_id, settings, RunStatistics(run_id, stretched_template(settings)))
    if host_class is not None:
        totals.host_class = host_class
    with (
        (scratch / RESULTS_FILE).open("wb") as results,
        (scratch / FAILED_FILE).open("wb") as failed,
    ):
        for record in records:
            totals.add(record)
            if record.outcome is Outcome.FAILED and record.reason is not None:
                _write_failed(failed, record, settings)
            results.write(record_json.dump_json(record, exclude=NOT_IN_RESULTS) + b"\n")
    with (scratch / RESULTS_FILE).open("rb") as lines:
        write_failed_table(scratch / FAILED_TABLE_FILE, lines)
    return totals


def upload_results(
    store: ObjectStore,
    totals: RunTotals,
    scratch: Path,
    *,
    seconds: float,
    status: str | None = None,
    started: float | None = None,
    compared: Comparison | None = None,
    again: bool = False,
) -> Summary:
    """Upload what `write_result_files` wrote, then `summary.json` and `report.html`; return the summary.

    The summary is written after the files, because a run with a summary counts as having all its results.

    Args:
        again: the run had results before. Its `settings.json`, by whose time runs are ordered, stays as it is.
    """
    summary = totals.summary(seconds, status, started, compared)
    dataset, run_id = summary.dataset, summary.run_id
    put_object(store, results_key(dataset, run_id), scratch / RESULTS_FILE, RECEIPTS_TYPE)
    put_object(store, failed_key(dataset, run_id), scratch / FAILED_FILE, RECEIPTS_TYPE)
    put_object(store, failed_table_key(dataset, run_id), scratch / FAILED_TABLE_FILE, "text/csv; charset=utf-8")
    if not again:
        write_run_settings(store, totals.settings, run_id)
    if wants_parquet(summary.entries, totals.carried):
        table = scratch / PARQUET_FILE
        write_parquet(scratch / RESULTS_FILE, table, NOT_IN_RESULTS, totals.carried)
        put_object(store, parquet_key(dataset, run_id), table, PARQUET_TYPE)
    write_summary(store, summary)
    write_html_report(store, summary, totals.settings, totals.statistics)
    return summary


def _write_failed(failed: IO[bytes], record: Record, settings: Settings) -> None:
    """Write a line of `failed.jsonl`: a manifest row from which the entry gets the same key and template again."""
    row: dict[str, object] = {"url": record.url}
    key = record.key_identity
    if key is not None and key != settings.default_key(record.url):
        row["key"] = key
    if record.template not in (None, settings.template):
        row["template"] = record.template
    if record.focus is not None:
        row["focus"] = record.focus
    row |= record.expected
    if record.fallback_urls:
        row["fallback_url"] = record.fallback_urls
    row["reason"] = record.reason
    row["detail"] = record.detail
    if record.carried:
        row["carried"] = record.carried
    failed.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
