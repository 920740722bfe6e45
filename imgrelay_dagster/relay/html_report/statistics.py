"""Counting what a run's records say, one after the other, in memory that does not grow with their number."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

from imgrelay_dagster.relay.html_report.histograms import LogBins, Timeline
from imgrelay_dagster.relay.html_report.host_statistics import Hosts
from imgrelay_dagster.relay.html_report.sampling import Reservoir
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Stage
from imgrelay_dagster.relay.redact import redact, redact_text

EXAMPLES = 5
"""Failed entries shown for each reason."""

SHEET = 24
"""Stored images that the contact sheet is picked from."""


@dataclass(frozen=True, slots=True)
class Example:
    """A failed entry as it may be shown: no user info, no query, one line each."""

    line: int
    url: str
    detail: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored image: its manifest line, its key, its size in pixels."""

    line: int
    key: str
    width: int
    height: int


class RunStatistics:
    """What the page shows of a run's records.

    Args:
        seed: decides the samples; the same seed and records give the same ones.
    """

    def __init__(self, seed: str) -> None:
        self._chance = Random(seed)
        self.requests = 0
        self.retried = 0
        self.course = Timeline()
        self.seconds = {stage: LogBins(0.001, 6) for stage in Stage}
        self.bytes_in = LogBins(100, 7)
        self.bytes_out = LogBins(100, 7)
        self.statuses: Counter[int] = Counter()
        self.examples: dict[Reason, Reservoir[Record]] = {}
        self.hosts = Hosts()
        self._stored: Reservoir[Stored] = Reservoir(SHEET, self._chance)

    def add(self, record: Record) -> None:
        """Take one ended record into account. What it stumbles over is left out: the page matters less than the run."""
        with suppress(ValueError, ArithmeticError, TypeError):
            self._add(record)

    def _add(self, record: Record) -> None:
        failed = record.outcome is Outcome.FAILED
        if record.attempts:
            self.requests += record.attempts
            self.retried += record.attempts > 1
            if record.at is not None:
                self.course.add(record.at, failed=failed)
            self._add_costs(record)
        if failed and record.reason is not None:
            self._add_failure(record, record.reason)
        elif record.key and record.outcome in (Outcome.UPLOADED, Outcome.UNCHANGED):
            self._stored.add(Stored(record.line, record.key, record.width or 0, record.height or 0))
        if record.fingerprint is not None and record.outcome is not Outcome.NOT_ATTEMPTED:
            self._add_to_host(record, failed=failed)

    def _add_costs(self, record: Record) -> None:
        if record.bytes_in is not None:
            self.bytes_in.add(record.bytes_in)
            self.seconds[Stage.DOWNLOAD].add(record.seconds.download)
        if record.outcome is Outcome.UPLOADED:
            self.seconds[Stage.COMPOSE].add(record.seconds.compose)
            self.seconds[Stage.UPLOAD].add(record.seconds.upload)
            self.bytes_out.add(record.bytes_out or 0)

    def _add_failure(self, record: Record, reason: Reason) -> None:
        if reason is Reason.HTTP_STATUS and record.http_status is not None:
            self.statuses[record.http_status] += 1
        if reason not in self.examples:
            self.examples[reason] = Reservoir(EXAMPLES, self._chance)
        self.examples[reason].add(record)

    def _add_to_host(self, record: Record, *, failed: bool) -> None:
        host = self.hosts[host_of(record.url)]
        host.entries += 1
        if failed:
            host.failed += 1
            reason = record.reason.value if record.reason else ""
            host.reasons[reason] = host.reasons.get(reason, 0) + 1
        if record.attempts:
            host.downloads += 1
            host.seconds += record.seconds.download
            host.slowest = max(host.slowest, record.seconds.download)

    def examples_of(self, reason: Reason) -> list[Example]:
        """Some of the entries that failed for this reason, in manifest order."""
        kept = self.examples[reason].kept if reason in self.examples else []
        return [
            Example(record.line, redact(record.url), redact_text(record.detail or "")[:300], record.attempts)
            for record in sorted(kept, key=lambda record: record.line)
        ]

    @property
    def stored(self) -> list[Stored]:
        """Some of the stored images, in manifest order."""
        return sorted(self._stored.kept, key=lambda stored: stored.line)


def host_of(url: str) -> str:
    """The host of a sound URL, in lower case, without port and user info."""
    with suppress(ValueError):
        return urlsplit(url).hostname or ""
    return ""
