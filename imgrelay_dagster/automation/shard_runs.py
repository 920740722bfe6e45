"""The shard runs that a run too large for one asks for, as requests to launch them."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import dagster as dg

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.planning.shards import read_shard_plan
from imgrelay_dagster.relay.storage.stores import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.queries import run_records
from imgrelay_dagster.runs.status import RECENT, shard_of
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

ROUND = 20.0
"""Seconds after which a round ends with the run at hand: Dagster gives up on a sensor after 60."""

LAUNCHED = 120.0
"""Seconds by which a run that was made is launched or queued."""

KEPT = (DATASET_TAG, DESTINATION_TAG, MANIFEST_TAG, VERSION_TAG)
"""Tags that a shard run has from its coordinator."""

REQUESTS = 20
"""Runs that are asked for in one round."""


def shard_requests(
    instance: dg.DagsterInstance, stores: StoresResource, cursor: str | None
) -> tuple[list[dg.RunRequest], str, list[str]]:
    """The next shard runs to launch, the cursor after them, and what kept others from being launched.

    The cursor is, by coordinator, how many shards were asked for, and of how many, once that is known.
    """
    asked: dict[str, tuple[int, int | None]] = json.loads(cursor) if cursor else {}
    troubles: list[str] = []
    until = time.monotonic() + ROUND
    coordinators = _coordinators(instance)
    known = {run.run_id: asked.get(run.run_id, (0, None)) for run in coordinators}
    requests = list(islice(_left(instance, {run.run_id: run for run in coordinators}), REQUESTS))
    for run in coordinators:
        if len(requests) == REQUESTS or time.monotonic() > until:
            break
        number, wanted = known[run.run_id]
        try:
            wanted = _shards(run, stores) if wanted is None else wanted
        except RelayError as error:
            troubles.append(f"run {run.run_id}: {error}")
            continue
        next_ones = range(number + 1, min(wanted, number + REQUESTS - len(requests)) + 1)
        requests += [shard_request(run, each, wanted) for each in next_ones]
        known[run.run_id] = (number + len(next_ones), wanted)
    return requests, json.dumps(known), troubles


def _left(instance: dg.DagsterInstance, coordinators: Mapping[str, dg.DagsterRun]) -> Iterator[dg.RunRequest]:
    """Shard runs that were made and could not be launched: asked for again, Dagster launches them."""
    before = datetime.fromtimestamp(time.time() - LAUNCHED, UTC)
    made = dg.RunsFilter(tags={KIND_TAG: SHARD}, statuses=[dg.DagsterRunStatus.NOT_STARTED], created_before=before)
    for record in run_records(instance, made):
        shard = shard_of(record.dagster_run)
        if shard is not None and shard.coordinator in coordinators:
            yield shard_request(coordinators[shard.coordinator], shard.number, shard.of)


def shard_request(run: dg.DagsterRun, number: int, of: int) -> dg.RunRequest:
    """The run for one shard of a coordinator: its config and its day, and the share that falls to it."""
    day = run.tags.get(PARTITION_TAG)
    kept = {name: run.tags[name] for name in KEPT if name in run.tags}
    shard = {"coordinator": run.run_id, "number": number, "of": of}
    return dg.RunRequest(
        run_key=f"{run.run_id}/{number}",
        job_name="relay_day" if day else "relay",
        partition_key=day,
        run_config=_day_config(run, shard) if day else _config(run, shard),
        tags={**kept, KIND_TAG: SHARD, COORDINATOR_TAG: run.run_id, SHARD_TAG: f"{number} of {of}"},
    )


def _config(run: dg.DagsterRun, shard: dict[str, Any]) -> dict[str, Any]:
    sources = ("urls", "url_lines", "manifest")
    form = {name: value for name, value in run.run_config.items() if name not in sources}
    return {**form, **_pinned(run), "dataset": run.tags[DATASET_TAG], "shard": shard}


def _day_config(run: dg.DagsterRun, shard: dict[str, Any]) -> dict[str, Any]:
    given: Any = run.run_config
    form = given.get("ops", {}).get("relayed_images", {}).get("config") or {}
    return {**given, "ops": {"relayed_images": {"config": {**form, **_pinned(run), "shard": shard}}}}


def _pinned(run: dg.DagsterRun) -> dict[str, str]:
    """Where the coordinator left what its shards go by, wherever runs would go by now that do not say."""
    return {"destination": run.tags[DESTINATION_TAG]}


def _coordinators(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The recent ones, the oldest first."""
    wanted = dg.RunsFilter(
        tags={KIND_TAG: COORDINATOR},
        statuses=[dg.DagsterRunStatus.SUCCESS],
        updated_after=datetime.fromtimestamp(time.time() - RECENT, UTC),
    )
    return [record.dagster_run for record in run_records(instance, wanted)][::-1]


def _shards(run: dg.DagsterRun, stores: StoresResource) -> int:
    """How many shards the run asks for: none, where it only has its tags from a run that did."""
    store = stores.open(run.tags[DESTINATION_TAG], INTERACTIVE)
    cut = read_shard_plan(store, run.tags[DATASET_TAG], run.run_id)
    return cut.shards if cut is not None else 0
