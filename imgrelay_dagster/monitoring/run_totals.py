"""Totals over all runs, for metrics: each ended run is added once, and the totals are kept in the Dagster instance.

So the totals never fall, not even when the process that serves them starts again or another one takes its place.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from imgrelay_dagster.config.host_classes import class_names
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Reason, Stage
from imgrelay_dagster.relay.records.summary import Summary, read_summary
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.queries import JOB_NAMES, is_relay_run, run_records
from imgrelay_dagster.runs.status import LOOKBACK, is_settled
from imgrelay_dagster.runs.store_tags import store_options
from imgrelay_dagster.runs.tags import COORDINATOR, DATASET_TAG, DESTINATION_TAG, KIND_TAG

STATE_KEY = "imgrelay/run_totals"
"""The key in the instance's storage of daemon cursors."""

SETTLE_LIMIT = 600.0
"""Seconds after its end in which a run may still get its results; after that it is counted without them."""

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

OUTCOMES = ("uploaded", "unchanged", "failed", "not_asked", "not_attempted")
"""How entries are counted: `failed` without those that were not asked for again."""

Key = tuple[str, ...]
"""The name of a total and the values of its labels."""


@dataclass(slots=True)
class RunTotals:
    """The totals, and the runs that are in them: by run ID, when each ended."""

    totals: dict[Key, float] = field(default_factory=lambda: defaultdict(float))
    counted: dict[str, float] = field(default_factory=dict)

    def dump(self) -> str:
        """Serialize to JSON."""
        totals = [[*key, value] for key, value in sorted(self.totals.items())]
        return json.dumps({"totals": totals, "counted": self.counted})

    @classmethod
    def load(cls, text: str | None) -> "RunTotals":
        """Parse what `dump` returned; no totals where the text is not valid."""
        found = cls()
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            stored = json.loads(text or "")
            found.totals.update({tuple(map(str, key)): float(value) for *key, value in stored["totals"]})
            found.counted = {str(run_id): float(ended) for run_id, ended in stored["counted"].items()}
        return found


def initial_totals() -> dict[Key, float]:
    """Zero for each total whose labels are known before a run ends.

    Prometheus computes no increase for the first value of a series, so what is counted first would not be seen.
    """
    statuses = [status.value.lower() for status in ENDED]
    keys: set[Key] = {("run_seconds",), ("bytes", "in"), ("bytes", "out")}
    keys |= {("runs", job, status) for job in JOB_NAMES for status in statuses}
    keys |= {("images", outcome) for outcome in OUTCOMES}
    keys |= {("failures", reason, host_class) for reason in Reason for host_class in class_names()}
    keys |= {("stage_seconds", stage) for stage in Stage}
    return dict.fromkeys(sorted(keys), 0.0)


def update_totals(instance: dg.DagsterInstance, stores: StoresResource) -> Mapping[Key, float]:
    """Add the runs that have ended since the last update, and return the totals.

    Two processes that do this at the same time both add the same runs to what they have read, so none counts twice.
    """
    storage = instance.daemon_cursor_storage
    state = RunTotals.load(storage.get_cursor_values({STATE_KEY}).get(STATE_KEY))
    before, now = len(state.counted), time.time()
    for record in _uncounted(instance, state, now):
        run, ended = record.dagster_run, record.end_time or record.update_timestamp.timestamp()
        summary = None
        if DESTINATION_TAG in run.tags and DATASET_TAG in run.tags and run.tags.get(KIND_TAG) != COORDINATOR:
            try:
                summary = _summary(run, stores)
            except RelayError:  # the destination cannot be read at the moment
                continue
            if summary is None and not is_settled(run) and now - ended < SETTLE_LIMIT:
                continue
        _add(state.totals, run, summary)
        state.counted[run.run_id] = ended
    if len(state.counted) != before:
        state.counted = {run_id: ended for run_id, ended in state.counted.items() if now - ended < 2 * LOOKBACK}
        storage.set_cursor_values({STATE_KEY: state.dump()})
    return state.totals


def _uncounted(instance: dg.DagsterInstance, state: RunTotals, now: float) -> Iterator[dg.RunRecord]:
    recent = dg.RunsFilter(statuses=ENDED, updated_after=datetime.fromtimestamp(now - LOOKBACK, UTC))
    for record in run_records(instance, recent):
        if record.dagster_run.run_id not in state.counted and is_relay_run(record.dagster_run):
            yield record


def _summary(run: dg.DagsterRun, stores: StoresResource) -> Summary | None:
    store = stores.open(run.tags[DESTINATION_TAG], INTERACTIVE, store_options(run.tags))
    return read_summary(store, run.tags[DATASET_TAG], run.run_id)


def _add(totals: dict[Key, float], run: dg.DagsterRun, summary: Summary | None) -> None:
    totals["runs", run.job_name, run.status.value.lower()] += 1
    if summary is None:
        return
    failed = summary.failed - summary.not_asked
    counts = (summary.uploaded, summary.unchanged, failed, summary.not_asked, summary.not_attempted)
    for outcome, number in zip(OUTCOMES, counts, strict=True):
        totals["images", outcome] += number
    for host_class, reasons in summary.failures_by_host.items():
        for reason, number in reasons.items():
            totals["failures", reason, host_class] += number
    for stage, seconds in summary.stage_seconds.items():
        totals["stage_seconds", stage] += seconds
    totals["bytes", "in"] += summary.bytes_in
    totals["bytes", "out"] += summary.bytes_out
    totals["run_seconds",] += summary.seconds
