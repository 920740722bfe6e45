"""Late manifests: days whose manifest came after the schedule had looked for it, or was rewritten since."""

import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

import dagster as dg

from imgrelay_dagster.automation.daily_manifests import day_request, record_manifest
from imgrelay_dagster.automation.partitions import due_days, find_day_manifest
from imgrelay_dagster.automation.sensor_ticks import LAUNCH_GRACE, TICK_BUDGET
from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.sources import ManifestFile
from imgrelay_dagster.relay.storage.addresses import is_remote
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.queries import is_relay_run, run_records
from imgrelay_dagster.runs.tags import PARTITION_TAG, VERSION_TAG

SCHEDULE_GRACE = timedelta(minutes=10)
"""Time after the schedule's tick in which its day does not count as late yet."""

STABLE_AGE = timedelta(seconds=10)
"""A local manifest that was modified within this time may be incomplete. An object in a store is always complete."""

MAX_REQUESTS_PER_TICK = 5
"""Late days requested in one tick."""

MAX_RUNS = 500
"""Runs of the days in question that a tick reads, newest first."""


@dataclass
class LateScan:
    """The result of a scan for late manifests.

    Attributes:
        known: by day, the version of its manifest that a run has read. It is the sensor's cursor.
        requests: runs to launch.
        notes: why other days were left out, each as one sentence.
    """

    known: dict[str, str]
    requests: list[dg.RunRequest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def cursor(self) -> str:
        """`known` as JSON."""
        return json.dumps(self.known)


def late_days() -> int:
    """How many days back late manifests are searched for.

    Raises:
        RelayError: `IMGRELAY_LATE_DAYS` is not a number from 1 to 366.
    """
    return environment.LATE_DAYS.get()


def scan_late_manifests(
    instance: dg.DagsterInstance, stores: StoresResource, cursor: str | None, now: datetime
) -> LateScan:
    """Find the manifests of recent days whose present version no run has read, and request runs for them.

    A day with a run in progress or in the queue waits for a later tick, and so does a manifest that is still being
    written.

    Args:
        instance: the Dagster instance.
        stores: opens the store that holds the manifests.
        cursor: the cursor that the previous scan returned.
        now: the present time (UTC).
    """
    days = due_days(now - SCHEDULE_GRACE, late_days())
    known: dict[str, str] = json.loads(cursor) if cursor else {}
    scan = LateScan({day: known[day] for day in days if day in known})
    runs: dict[str, list[dg.RunRecord]] | None = None
    deadline = time.monotonic() + TICK_BUDGET
    for day in days:
        if time.monotonic() > deadline:
            scan.notes.append(f"the tick's time is used up; {day} and earlier days were not checked")
            break
        try:
            manifest = find_day_manifest(day, partial(stores.open, policy=INTERACTIVE))
        except RelayError as error:
            scan.notes += [str(error)] if str(error) not in scan.notes else []
            continue
        if manifest is None or scan.known.get(day) == manifest.version:
            continue
        if runs is None:
            runs = _runs_by_day(instance, days)
        _decide(scan, day, manifest, runs[day], now)
        record_manifest(instance, day, manifest)
    return scan


def _decide(scan: LateScan, day: str, manifest: ManifestFile, records: list[dg.RunRecord], now: datetime) -> None:
    """Request a run for the day's manifest, or note why not."""
    # A run whose launch failed does not count. If the same sensor requests it again, Dagster launches it.
    runs = [record.dagster_run for record in records if not _was_never_launched(record, now)]
    if any(not run.is_finished for run in runs):
        scan.notes.append(f"a run of day {day} has not ended yet")
    elif any(run.tags.get(VERSION_TAG) == manifest.version for run in runs):
        scan.known[day] = manifest.version
    elif not is_remote(manifest.address) and now - manifest.modified < STABLE_AGE:
        scan.notes.append(f"{manifest.address} is still being written")
    elif len(scan.requests) < MAX_REQUESTS_PER_TICK:
        scan.requests.append(day_request(day, manifest))


def _runs_by_day(instance: dg.DagsterInstance, days: list[str]) -> dict[str, list[dg.RunRecord]]:
    """The newest runs of asset `relayed_images` for these days."""
    by_day = defaultdict(list)
    records = run_records(instance, dg.RunsFilter(tags={PARTITION_TAG: days}))
    for record in islice((record for record in records if is_relay_run(record.dagster_run)), MAX_RUNS):
        by_day[record.dagster_run.tags[PARTITION_TAG]].append(record)
    return by_day


def _was_never_launched(record: dg.RunRecord, now: datetime) -> bool:
    """Whether the run was created more than `LAUNCH_GRACE` seconds ago and is still not launched."""
    created = record.create_timestamp.replace(tzinfo=UTC)
    is_waiting = record.dagster_run.status is dg.DagsterRunStatus.NOT_STARTED
    return is_waiting and now - created > timedelta(seconds=LAUNCH_GRACE)
