"""What `imgrelay metrics` shows to Prometheus, read anew at each scrape from the Dagster instance and the stores."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import dagster as dg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from imgrelay_dagster.automation.inbox import MAX_RUNS_PER_TICK, inbox_address, keys_with_run, refusal
from imgrelay_dagster.monitoring.freshness import newest_day
from imgrelay_dagster.monitoring.run_totals import initial_totals, update_totals
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.inbox import InboxCursor, scan_inbox
from imgrelay_dagster.relay.manifest.inbox_files import list_inbox
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress.notes import read_progress
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.queries import is_relay_run, run_records

COUNTERS = {
    "runs": ("Runs that have ended.", ("job", "status")),
    "images": (
        "Entries of ended runs, by outcome; not_asked: an earlier failure that was not asked for again.",
        ("outcome",),
    ),
    "failures": ("Entries that failed in ended runs.", ("reason", "host_class")),
    "bytes": ("Bytes downloaded (in) and stored (out) by ended runs.", ("direction",)),
    "stage_seconds": ("Seconds that images took in a stage, all together.", ("stage",)),
    "run_seconds": ("Wall time of ended runs.", ()),
}
"""Help and labels of each counter; its name begins with `imgrelay_` and ends with `_total`."""

OPEN = {
    dg.DagsterRunStatus.QUEUED: "queued",
    dg.DagsterRunStatus.NOT_STARTED: "starting",
    dg.DagsterRunStatus.STARTING: "starting",
    dg.DagsterRunStatus.STARTED: "started",
    dg.DagsterRunStatus.CANCELING: "canceling",
}

PARTS = ("totals", "queue", "inbox", "newest_day")


class RelayCollector:
    """A collector for a registry of prometheus_client.

    A part that cannot be read, such as an inbox in a store that does not answer, leaves out its own metrics only.
    """

    def __init__(self, instance: dg.DagsterInstance, stores: StoresResource) -> None:
        self._instance = instance
        self._stores = stores
        self._inbox_cursor = InboxCursor()
        self._lock = threading.Lock()

    def describe(self) -> Iterator[Metric]:
        """No metric is known before the first scrape."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Read everything, one scrape at a time."""
        up = GaugeMetricFamily("imgrelay_part_up", "Whether this part could be read.", labels=["part"])
        with self._lock:
            parts: tuple[Callable[[], list[Metric]], ...] = (self._totals, self._queue, self._inbox, self._newest_day)
            for name, read in zip(PARTS, parts, strict=True):
                try:
                    metrics = read()
                except Exception:  # noqa: BLE001 - a library of a store may raise anything, and the others must go on
                    up.add_metric([name], 0)
                else:
                    up.add_metric([name], 1)
                    yield from metrics
        yield up

    def _totals(self) -> list[Metric]:
        totals = initial_totals() | dict(update_totals(self._instance, self._stores))
        families = {
            name: CounterMetricFamily(f"imgrelay_{name}", text, labels=labels)
            for name, (text, labels) in COUNTERS.items()
        }
        for (name, *labels), value in totals.items():
            if name in families:
                families[name].add_metric(labels, value)
        return list(families.values())

    def _queue(self) -> list[Metric]:
        records = [
            record
            for record in run_records(self._instance, dg.RunsFilter(statuses=list(OPEN)))
            if is_relay_run(record.dagster_run)
        ]
        runs = GaugeMetricFamily("imgrelay_runs_open", "Runs that have not ended.", labels=["status"])
        numbers = Counter(OPEN[record.dagster_run.status] for record in records)
        for status in dict.fromkeys(OPEN.values()):
            runs.add_metric([status], numbers[status])
        queued = [record for record in records if record.dagster_run.status is dg.DagsterRunStatus.QUEUED]
        oldest = min((record.create_timestamp.replace(tzinfo=UTC).timestamp() for record in queued), default=None)
        waiting = GaugeMetricFamily(
            "imgrelay_queue_oldest_seconds", "How long the run has waited that has waited longest in the queue."
        )
        waiting.add_metric([], 0 if oldest is None else max(0.0, time.time() - oldest))
        return [runs, waiting, self._progress(records)]

    def _progress(self, records: list[dg.RunRecord]) -> Metric:
        """Entries of the runs that are under way, from the notes of their steps."""
        counts = dict.fromkeys(("left", "failed", *Stage), 0)
        for record in records:
            if record.dagster_run.status is not dg.DagsterRunStatus.STARTED:
                continue
            with suppress(RelayError):
                progress = read_progress(self._stores.brief_staging(record.dagster_run.run_id))
                counts["left"] += max(0, (progress.entries or 0) - progress.ended)
                counts["failed"] += progress.failed
                for stage, number in progress.passed.items():
                    counts[stage] += number
        family = GaugeMetricFamily(
            "imgrelay_images_open",
            "Entries of open runs: left, failed, or past a stage.",
            labels=["state"],
        )
        for state, number in counts.items():
            family.add_metric([str(state)], number)
        return family

    def _inbox(self) -> list[Metric]:
        """The manifests in the inbox that have no run yet, and the age of the oldest of them."""
        inbox = inbox_address()
        if inbox is None:
            return []
        scan = scan_inbox(
            list_inbox(inbox, partial(self._stores.open, policy=INTERACTIVE), self._stores.list_any),
            self._inbox_cursor,
            limit=MAX_RUNS_PER_TICK,
            keys_with_run=partial(keys_with_run, self._instance),
            refusal=refusal,
            atomic=True,
        )
        self._inbox_cursor = scan.cursor
        number = GaugeMetricFamily("imgrelay_inbox_manifests", "Manifests in the inbox that have no run yet.")
        number.add_metric([], len(scan.ready) + scan.deferred)
        lag = GaugeMetricFamily("imgrelay_inbox_lag_seconds", "Age of the oldest of them; 0 if there are none.")
        oldest = min((file.modified for file in scan.ready), default=None)
        age = 0.0 if oldest is None else time.time() - oldest
        lag.add_metric([], max(0.0, age))
        return [number, lag]

    def _newest_day(self) -> list[Metric]:
        family = GaugeMetricFamily(
            "imgrelay_newest_day_relayed",
            "1 if the newest day is relayed that was due IMGRELAY_FRESH_WITHIN hours ago.",
        )
        family.add_metric([], newest_day(self._instance, datetime.now(UTC)).passed)
        return [family]
