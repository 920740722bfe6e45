"""A day's manifest as Dagster knows it: looked for, recorded as a partition of asset `daily_manifests`, asked for."""

import json
import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from imgrelay_dagster.automation.partitions import day_dataset, due_days, find_day
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.sources import Found
from imgrelay_dagster.relay.storage.stores import INTERACTIVE, is_remote
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.queries import is_ours, run_records
from imgrelay_dagster.runs.tags import DATASET_TAG, MANIFEST_TAG, PARTITION_TAG, VERSION_TAG

ASKED_FOR = timedelta(minutes=10)
"""How long the schedule is given to ask for a day before it counts as late."""

STILL = timedelta(seconds=10)
"""A local manifest written to within this time may not be whole yet; an object in a store always is."""

REQUESTS = 5
"""Late days asked for in one round."""

ROUND = 20.0
"""Seconds after which a round ends with the day at hand: Dagster gives up on a sensor after 60."""

RUNS = 500
"""Runs of the days in question that are looked at, the newest first."""

LAUNCHED = timedelta(minutes=2)
"""By then a run that was made is launched or queued."""

MANIFESTS = dg.AssetKey("daily_manifests")


def see_day(instance: dg.DagsterInstance, day: str, stores: StoresResource) -> Found | None:
    """The day's manifest, recorded if this content was not seen before; None when there is none yet.

    Raises:
        RelayError: there is more than one; or the place cannot be asked.
    """
    found = find_day(day, partial(stores.open, policy=INTERACTIVE))
    if found is not None:
        record(instance, day, found)
    return found


def record(instance: dg.DagsterInstance, day: str, found: Found) -> None:
    """Record a day's manifest, if this content was not seen before."""
    if _seen_version(instance, day) != found.version:
        instance.report_runless_asset_event(_materialization(day, found))


def _seen_version(instance: dg.DagsterInstance, day: str) -> str | None:
    wanted = dg.AssetRecordsFilter(MANIFESTS, asset_partitions=[day])
    records = instance.fetch_materializations(wanted, limit=1).records
    materialization = records[0].asset_materialization if records else None
    return (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization else None


def _materialization(day: str, found: Found) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        MANIFESTS,
        partition=day,
        metadata={
            "manifest": dg.MetadataValue.path(found.address),
            "bytes": found.size,
            "modified": dg.MetadataValue.timestamp(found.modified),
        },
        tags={DATA_VERSION_TAG: found.version},
    )


def day_request(day: str, found: Found) -> dg.RunRequest:
    """The run that relays a day's manifest in the version that was found; never asked for twice by the same asker."""
    return dg.RunRequest(
        run_key=f"{day}/{found.version}",
        partition_key=day,
        tags={DATASET_TAG: day_dataset(day), MANIFEST_TAG: found.address, VERSION_TAG: found.version},
    )


@dataclass
class Late:
    """What is to be done about days whose manifest came late or was rewritten.

    `known` is the version of each day's manifest that runs have been given already: the sensor's cursor.
    """

    known: dict[str, str]
    requests: list[dg.RunRequest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def cursor(self) -> str:
        return json.dumps(self.known)


def late_days() -> int:
    """How many days back late manifests are looked for: `$IMGRELAY_LATE_DAYS`, else 31.

    Raises:
        RelayError: it is no number from 1 to 366.
    """
    given = os.environ.get("IMGRELAY_LATE_DAYS") or "31"
    if not given.isdecimal() or not 1 <= int(given) <= 366:
        raise RelayError(f"IMGRELAY_LATE_DAYS {given!r} is no number of days from 1 to 366")
    return int(given)


def find_late(instance: dg.DagsterInstance, stores: StoresResource, cursor: str | None, now: datetime) -> Late:
    """Look for manifests of the last days that no run has been given in their present version.

    A day that a run is working on, or waits for, is left for a later round, and so is a manifest that is being written.
    """
    wanted = due_days(now - ASKED_FOR, late_days())
    before: dict[str, str] = json.loads(cursor) if cursor else {}
    late = Late({day: before[day] for day in wanted if day in before})
    runs: dict[str, list[dg.RunRecord]] | None = None
    until = time.monotonic() + ROUND
    for day in wanted:
        if time.monotonic() > until:
            late.notes.append(f"looking took too long; days up to {day} were not looked at")
            break
        try:
            found = find_day(day, partial(stores.open, policy=INTERACTIVE))
        except RelayError as error:
            late.notes += [str(error)] if str(error) not in late.notes else []
            continue
        if found is None or late.known.get(day) == found.version:
            continue
        if runs is None:
            runs = _runs_of(instance, wanted)
        _judge(late, day, found, runs[day], now)
        record(instance, day, found)
    return late


def _judge(late: Late, day: str, found: Found, records: list[dg.RunRecord], now: datetime) -> None:
    # One that was made and could not be launched is no run: it stays so, or is launched when its asker asks again.
    runs = [record.dagster_run for record in records if not _was_left(record, now)]
    if any(not run.is_finished for run in runs):
        late.notes.append(f"a run of day {day} is going on")
    elif any(run.tags.get(VERSION_TAG) == found.version for run in runs):
        late.known[day] = found.version
    elif not is_remote(found.address) and now - found.modified < STILL:
        late.notes.append(f"{found.address} is being written")
    elif len(late.requests) < REQUESTS:
        late.requests.append(day_request(day, found))


def _runs_of(instance: dg.DagsterInstance, wanted: list[str]) -> dict[str, list[dg.RunRecord]]:
    """The runs of asset `relayed_images` for these days, the latest ones."""
    found = defaultdict(list)
    records = run_records(instance, dg.RunsFilter(tags={PARTITION_TAG: wanted}))
    for record in islice((record for record in records if is_ours(record.dagster_run)), RUNS):
        found[record.dagster_run.tags[PARTITION_TAG]].append(record)
    return found


def _was_left(record: dg.RunRecord, now: datetime) -> bool:
    """Whether a run was made a while ago and never launched."""
    made = record.create_timestamp.replace(tzinfo=UTC)
    return record.dagster_run.status is dg.DagsterRunStatus.NOT_STARTED and now - made > LAUNCHED
