"""Late manifests: those that came after the schedule had looked for them, or were rewritten since.

A period is a day, or an hour or a week (`automation/partitions.py`).
"""

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

import dagster as dg

from imgrelay_dagster.automation.daily_manifests import period_request, record_manifest
from imgrelay_dagster.automation.day_assets import DEFAULT, DayAsset, asset_of_run
from imgrelay_dagster.automation.manifest_locations import find_period_manifest
from imgrelay_dagster.automation.partitions import describe, due_periods, periods_in
from imgrelay_dagster.automation.sensor_ticks import LAUNCH_GRACE, TICK_BUDGET
from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.sources import ManifestFile
from imgrelay_dagster.relay.storage.addresses import is_remote
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.queries import is_relay_run, run_records
from imgrelay_dagster.runs.tags import DATASET_TAG, PARTITION_TAG, VERSION_TAG

SCHEDULE_GRACE = timedelta(minutes=10)
"""Time after the schedule's tick in which its period does not count as late yet."""

STABLE_AGE = timedelta(seconds=10)
"""A local manifest that was modified within this time may be incomplete. An object in a store is always complete."""

MAX_REQUESTS_PER_TICK = 5
"""Late periods requested in one tick."""

MAX_RUNS = 500
"""Runs of the periods in question that a tick reads, newest first."""


@dataclass
class LateScan:
    """The result of a scan for late manifests.

    Attributes:
        known: by period, the version of its manifest that a run has read. It is the sensor's cursor.
        requests: runs to launch.
        notes: why other periods were left out, each as one sentence.
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
    instance: dg.DagsterInstance,
    stores: StoresResource,
    cursor: str | None,
    now: datetime,
    assets: Sequence[DayAsset] = (DEFAULT,),
) -> LateScan:
    """Find the manifests of recent periods whose present version no run has read, and request runs for them.

    A period with a run in progress or in the queue waits for a later tick, and so does a manifest that is still being
    written.

    Args:
        instance: the Dagster instance.
        stores: opens the store that holds the manifests.
        cursor: the cursor that the previous scan returned.
        now: the present time (UTC).
        assets: the daily assets.
    """
    periods = due_periods(now - SCHEDULE_GRACE, periods_in(late_days()))
    known: dict[str, str] = json.loads(cursor) if cursor else {}
    pairs = [(asset, period) for period in periods for asset in assets]  # so that no asset waits for another
    labels = [asset.label(period) for asset, period in pairs]
    scan = LateScan({label: known[label] for label in labels if label in known})
    runs: dict[str, list[dg.RunRecord]] | None = None
    deadline = time.monotonic() + TICK_BUDGET
    for (asset, period), label in zip(pairs, labels, strict=True):
        if time.monotonic() > deadline:
            scan.notes.append(f"the tick's time is used up; {describe(period)} and earlier ones were not checked")
            break
        try:
            manifest = find_period_manifest(period, partial(stores.open, policy=INTERACTIVE), asset.manifests)
        except RelayError as error:
            scan.notes += [str(error)] if str(error) not in scan.notes else []
            continue
        if manifest is None or scan.known.get(label) == manifest.version:
            continue
        if runs is None:
            runs = _runs_by_dataset(instance, periods)
        _decide(scan, asset, period, manifest, runs[asset.dataset(period)], now)
        record_manifest(instance, period, manifest, asset)
    return scan


def _decide(
    scan: LateScan,
    asset: DayAsset,
    period: str,
    manifest: ManifestFile,
    records: list[dg.RunRecord],
    now: datetime,
) -> None:
    """Request a run for the period's manifest, or note why not."""
    # A run whose launch failed does not count. If the same sensor requests it again, Dagster launches it.
    runs = [record.dagster_run for record in records if not _was_never_launched(record, now)]
    if any(not run.is_finished for run in runs):
        of_asset = "" if asset.is_default else f"{asset.name} for "
        scan.notes.append(f"a run of {of_asset}{describe(period)} has not ended yet")
    elif any(run.tags.get(VERSION_TAG) == manifest.version for run in runs):
        scan.known[asset.label(period)] = manifest.version
    elif not is_remote(manifest.address) and now - manifest.modified < STABLE_AGE:
        scan.notes.append(f"{manifest.address} is still being written")
    elif len(scan.requests) < MAX_REQUESTS_PER_TICK:
        scan.requests.append(period_request(period, manifest, asset))


def _runs_by_dataset(instance: dg.DagsterInstance, periods: list[str]) -> dict[str, list[dg.RunRecord]]:
    """The newest runs of daily assets for these periods. A run that has not been planned may not have its tag yet.

    After a change of `IMGRELAY_PARTITIONS`, a run of a day does not count for the week that begins on it.
    """
    by_dataset = defaultdict(list)
    records = run_records(instance, dg.RunsFilter(tags={PARTITION_TAG: periods}))
    for record in islice((record for record in records if is_relay_run(record.dagster_run)), MAX_RUNS):
        run = record.dagster_run
        asset = asset_of_run(run)
        dataset = run.tags.get(DATASET_TAG) or (asset.dataset(run.tags[PARTITION_TAG]) if asset else None)
        if dataset is not None:
            by_dataset[dataset].append(record)
    return by_dataset


def _was_never_launched(record: dg.RunRecord, now: datetime) -> bool:
    """Whether the run was created more than `LAUNCH_GRACE` seconds ago and is still not launched."""
    created = record.create_timestamp.replace(tzinfo=UTC)
    is_waiting = record.dagster_run.status is dg.DagsterRunStatus.NOT_STARTED
    return is_waiting and now - created > timedelta(seconds=LAUNCH_GRACE)
