"""Statistics of a run, collected record by record in memory that does not grow with the number of records."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from urllib.parse import urlsplit

from markupsafe import escape

from imgrelay_dagster.relay.html_report.histograms import LogHistogram, Timeline
from imgrelay_dagster.relay.html_report.host_statistics import StatisticsByHost
from imgrelay_dagster.relay.html_report.sampling import Reservoir
from imgrelay_dagster.relay.html_report.shared_sources import SharedSources
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Stage
from imgrelay_dagster.relay.redact import redact, redact_key, redact_text
from imgrelay_dagster.relay.urls import HOST_CACHE_SIZE

MAX_EXAMPLES = 5
"""Failed entries shown for each reason."""

MAX_FAILURES = 500
"""Failed entries in the table of failures; `failed.csv` has all of them."""

MAX_ROW_BYTES = 150_000
"""Bytes of the rows of that table, as HTML."""

MAX_CELL = 200
"""Characters of one of its cells."""

MAX_STRETCH = 0.02
"""Difference of two aspect ratios above which a stretched template looks distorted."""

SHEET_SIZE = 24
"""Stored images sampled for the contact sheet."""


@dataclass(frozen=True, slots=True)
class Example:
    """A failed entry as shown in the report: its URL and detail carry no user info and no query."""

    line: int
    url: str
    detail: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A row of the table of failures. Its URL and detail carry no user info and no query."""

    line: int
    key: str
    carried: dict[str, str]
    reason: str
    url: str
    detail: str


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A stored image: its manifest line, its key, its size in pixels, and its original's URL if that may be shown."""

    line: int
    key: str
    width: int
    height: int
    original: str = ""


class RunStatistics:
    """The statistics that the report shows of a run's records.

    Args:
        seed: decides the random samples; the same seed and records give the same samples.
        template_size: of a template that is stretched over each image; None otherwise.

    Attributes:
        requests: requests made by this run.
        retried: entries with more than one request.
        timeline: the entries that this run worked on, by the time they ended.
        stage_seconds: seconds per image in each stage.
        bytes_in, bytes_out: sizes of downloaded files and stored images.
        http_statuses: failed entries by HTTP status.
        examples: some failed records of each reason.
        hosts: statistics per host.
        failures: the first failed entries, in manifest order.
        stretched: stored images whose aspect ratio is not the template's.
        sources: the pictures that answer several URLs.
    """

    def __init__(self, seed: str, template_size: tuple[int, int] | None = None) -> None:
        self._random = Random(seed)
        self._template_size = template_size
        self.stretched = 0
        self.failures: list[Failure] = []
        self._row_bytes = 0
        self.requests = 0
        self.retried = 0
        self.timeline = Timeline()
        self.stage_seconds = {stage: LogHistogram(0.001, 6) for stage in Stage}
        self.bytes_in = LogHistogram(100, 7)
        self.bytes_out = LogHistogram(100, 7)
        self.http_statuses: Counter[int] = Counter()
        self.examples: dict[Reason, Reservoir[Record]] = {}
        self.hosts = StatisticsByHost()
        self.sources = SharedSources()
        self._stored: Reservoir[Record] = Reservoir(SHEET_SIZE, self._random)

    def add(self, record: Record) -> None:
        """Count one ended record. A record that cannot be counted is skipped, because a report must not fail a run."""
        with suppress(ValueError, ArithmeticError, TypeError):
            self._add(record)

    def _add(self, record: Record) -> None:
        failed = record.outcome is Outcome.FAILED
        if record.attempts or (record.outcome is Outcome.UPLOADED and record.bytes_in is not None):
            self.requests += record.attempts
            self.retried += record.attempts > 1
            if record.at is not None:
                self.timeline.add(record.at, failed=failed)
            self._add_costs(record)
        if failed and record.reason is not None:
            self._add_failure(record, record.reason)
        elif record.key and record.outcome in (Outcome.UPLOADED, Outcome.UNCHANGED):
            self.stretched += self._is_stretched(record)
            self._stored.add(record)
            self.sources.add(record)
        if record.fingerprint is not None and record.outcome is not Outcome.NOT_ATTEMPTED:
            self._add_to_host(record, failed=failed)

    def _add_costs(self, record: Record) -> None:
        if record.bytes_in:  # 0 for a download that an earlier run made
            self.bytes_in.add(record.bytes_in)
            self.stage_seconds[Stage.DOWNLOAD].add(record.seconds.download)
        if record.outcome is Outcome.UPLOADED:
            self.stage_seconds[Stage.COMPOSE].add(record.seconds.compose)
            self.stage_seconds[Stage.UPLOAD].add(record.seconds.upload)
            self.bytes_out.add(record.bytes_out or 0)

    def _add_failure(self, record: Record, reason: Reason) -> None:
        if reason is Reason.HTTP_STATUS and record.http_status is not None:
            self.http_statuses[record.http_status] += 1
        if reason not in self.examples:
            self.examples[reason] = Reservoir(MAX_EXAMPLES, self._random)
        self.examples[reason].add(record)
        self._add_row(record, reason)

    def _add_row(self, record: Record, reason: Reason) -> None:
        """Add a row to the table of failures, while it is small enough for the page."""
        if len(self.failures) == MAX_FAILURES or self._row_bytes > MAX_ROW_BYTES:
            return
        row = Failure(
            record.line,
            redact_key(record.key or "")[:MAX_CELL],
            {name[:MAX_CELL]: value[:MAX_CELL] for name, value in record.carried.items()},
            f"{reason.value} {record.http_status or ''}".strip(),
            redact(record.url)[:MAX_CELL],
            redact_text(record.detail or "")[:MAX_CELL],
        )
        texts = (row.key, row.url, row.detail, *row.carried.values())
        self._row_bytes += sum(len(str(escape(text)).encode(errors="replace")) + 9 for text in texts)
        self.failures.append(row)

    def _is_stretched(self, record: Record) -> bool:
        if self._template_size is None or not record.width or not record.height:
            return False
        width, height = self._template_size
        return abs(record.width * height / (record.height * width) - 1) > MAX_STRETCH

    def _add_to_host(self, record: Record, *, failed: bool) -> None:
        host = self.hosts[host_of(record.url)]
        host.entries += 1
        if failed:
            host.failed += 1
            reason = record.reason.value if record.reason else ""
            host.reasons[reason] = host.reasons.get(reason, 0) + 1
        if record.attempts:
            host.downloads += 1
            host.total_seconds += record.seconds.download
            host.max_seconds = max(host.max_seconds, record.seconds.download)

    def examples_of(self, reason: Reason) -> list[Example]:
        """Return a sample of the entries that failed with this reason, in manifest order."""
        records = self.examples[reason].items if reason in self.examples else []
        return [
            Example(record.line, redact(record.url), redact_text(record.detail or "")[:300], record.attempts)
            for record in sorted(records, key=lambda record: record.line)
        ]

    @property
    def stored_sample(self) -> list[StoredImage]:
        """A sample of the stored images, in manifest order."""
        return [
            StoredImage(
                record.line,
                record.key or "",
                record.width or 0,
                record.height or 0,
                record.url if is_public(record.url) else "",
            )
            for record in sorted(self._stored.items, key=lambda record: record.line)
        ]


def is_public(url: str) -> bool:
    """Whether a report may link to a URL: one of the web, without user info and query, which may hold secrets."""
    return url.startswith(("https://", "http://")) and redact(url) == url and "?" not in url


def host_of(url: str) -> str:
    """Return the host of a URL in lower case, without port and user info; empty when the URL is invalid."""
    start = _SCHEME_AND_AUTHORITY.match(url)
    return _host_of_start(start[0] if start else url)


_SCHEME_AND_AUTHORITY = re.compile(r"[^/?#]*//[^/?#]*")


@lru_cache(maxsize=HOST_CACHE_SIZE)
def _host_of_start(start: str) -> str:
    with suppress(ValueError):
        return urlsplit(start).hostname or ""
    return ""
