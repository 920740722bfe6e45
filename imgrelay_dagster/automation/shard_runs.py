"""Shard runs: requests for the runs that share a manifest with too many entries for one run.

The run that read the manifest first, and split it into shards, is their coordinator.
"""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import dagster as dg

from imgrelay_dagster.automation.day_assets import asset_of_run
from imgrelay_dagster.automation.sensor_ticks import LAUNCH_GRACE, TICK_BUDGET
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.planning.shards import read_shard_plan
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.queries import run_records
from imgrelay_dagster.runs.status import LOOKBACK, shard_of
from imgrelay_dagster.runs.tags import (
    COORDINATOR,
    COORDINATOR_TAG,
    DATASET_TAG,
    DESTINATION_TAG,
    KIND_TAG,
    MANIFEST_TAG,
    PARTITION_TAG,
    SHARD,
    SHARD_TAG,
    VERSION_TAG,
)

COPIED_TAGS = (DATASET_TAG, DESTINATION_TAG, MANIFEST_TAG, VERSION_TAG)
"""Tags that a shard run copies from its coordinator."""

MAX_REQUESTS_PER_TICK = 20
"""Shard runs requested in one tick."""


def shard_requests(
    instance: dg.DagsterInstance, stores: StoresResource, cursor: str | None
) -> tuple[list[dg.RunRequest], str, list[str]]:
    """Request the next shard runs, those of the oldest coordinator first.

    The cursor is JSON: by coordinator, the number of shard runs requested so far, and of how many (null: not read yet).

    Returns:
        The requests, the new cursor, and an error message for each coordinator whose plan cannot be read.
    """
    requested: dict[str, tuple[int, int | None]] = json.loads(cursor) if cursor else {}
    errors: list[str] = []
    deadline = time.monotonic() + TICK_BUDGET
    coordinators = _coordinators(instance)
    known = {run.run_id: requested.get(run.run_id, (0, None)) for run in coordinators}
    unlaunched = _unlaunched_requests(instance, {run.run_id: run for run in coordinators})
    requests = list(islice(unlaunched, MAX_REQUESTS_PER_TICK))
    for run in coordinators:
        if len(requests) == MAX_REQUESTS_PER_TICK or time.monotonic() > deadline:
            break
        number, shards = known[run.run_id]
        try:
            shards = _planned_shards(run, stores) if shards is None else shards
        except RelayError as error:
            errors.append(f"run {run.run_id}: {error}")
            continue
        last = min(shards, number + MAX_REQUESTS_PER_TICK - len(requests))
        requests += [shard_request(run, each, shards) for each in range(number + 1, last + 1)]
        known[run.run_id] = (max(number, last), shards)
    return requests, json.dumps(known), errors


def _unlaunched_requests(
    instance: dg.DagsterInstance, coordinators: Mapping[str, dg.DagsterRun]
) -> Iterator[dg.RunRequest]:
    """Request shard runs again whose launch failed: Dagster then launches the run that it had created."""
    before = datetime.fromtimestamp(time.time() - LAUNCH_GRACE, UTC)
    unlaunched = dg.RunsFilter(
        tags={KIND_TAG: SHARD}, statuses=[dg.DagsterRunStatus.NOT_STARTED], created_before=before
    )
    for record in run_records(instance, unlaunched):
        shard = shard_of(record.dagster_run)
        if shard is not None and shard.coordinator in coordinators:
            yield shard_request(coordinators[shard.coordinator], shard.number, shard.of)


def shard_request(run: dg.DagsterRun, number: int, of: int) -> dg.RunRequest:
    """The request for one shard run: the coordinator's config and partition, with the shard that this run relays."""
    period, asset = run.tags.get(PARTITION_TAG), asset_of_run(run)
    copied = {name: run.tags[name] for name in COPIED_TAGS if name in run.tags}
    shard = {"coordinator": run.run_id, "number": number, "of": of}
    return dg.RunRequest(
        run_key=f"{run.run_id}/{number}",
        job_name=asset.job_name if asset else "relay",
        partition_key=period,
        run_config=_day_config(run, asset.name, shard) if asset else _config(run, shard),
        tags={**copied, KIND_TAG: SHARD, COORDINATOR_TAG: run.run_id, SHARD_TAG: f"{number} of {of}"},
    )


def _config(run: dg.DagsterRun, shard: dict[str, Any]) -> dict[str, Any]:
    """The run config of a shard run of job `relay`. Its lines come from the coordinator's ledger, not from a source."""
    sources = ("urls", "url_lines", "manifest")
    form = {name: value for name, value in run.run_config.items() if name not in sources}
    return {**form, **_fixed_destination(run), "dataset": run.tags[DATASET_TAG], "shard": shard}


def _day_config(run: dg.DagsterRun, asset: str, shard: dict[str, Any]) -> dict[str, Any]:
    """The run config of a shard run of a daily asset."""
    given: Any = run.run_config
    form = given.get("ops", {}).get(asset, {}).get("config") or {}
    return {**given, "ops": {asset: {"config": {**form, **_fixed_destination(run), "shard": shard}}}}


def _fixed_destination(run: dg.DagsterRun) -> dict[str, str]:
    """The coordinator's destination, which holds its ledger; the default destination may have changed since."""
    return {"destination": run.tags[DESTINATION_TAG]}


def _coordinators(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The recent coordinators, oldest first; without those of daily assets that are gone."""
    filters = dg.RunsFilter(
        tags={KIND_TAG: COORDINATOR},
        statuses=[dg.DagsterRunStatus.SUCCESS],
        updated_after=datetime.fromtimestamp(time.time() - LOOKBACK, UTC),
    )
    runs = [record.dagster_run for record in run_records(instance, filters)]
    return [run for run in runs if PARTITION_TAG not in run.tags or asset_of_run(run) is not None][::-1]


def _planned_shards(run: dg.DagsterRun, stores: StoresResource) -> int:
    """The number of shard runs that the run needs; 0 if it only inherited its tags from a coordinator."""
    store = stores.open(run.tags[DESTINATION_TAG], INTERACTIVE)
    shard_plan = read_shard_plan(store, run.tags[DATASET_TAG], run.run_id)
    return shard_plan.shards if shard_plan is not None else 0
