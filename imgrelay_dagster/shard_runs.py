"""The shard runs that a run too large for one asks for, as requests to launch them."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.shards import read_cut
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.tags import (
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

RECENT = 7 * 24 * 3600.0
"""Seconds after its end in which a run is given the shards that it asks for."""

COORDINATORS = 50
"""Runs that are looked at in one round, the newest first."""

KEPT = (DATASET_TAG, DESTINATION_TAG, MANIFEST_TAG, VERSION_TAG)
"""Tags that a shard run has from its coordinator."""

REQUESTS = 20
"""Runs that are asked for in one round."""


def shard_requests(
    instance: dg.DagsterInstance, stores: StoresResource, cursor: str | None
) -> tuple[list[dg.RunRequest], str, list[str]]:
    """The next shard runs to launch, the cursor after them, and what kept others from being launched.

    The cursor is how many shards were asked for, by coordinator.
    """
    asked: dict[str, int] = json.loads(cursor) if cursor else {}
    requests: list[dg.RunRequest] = []
    troubles = []
    known: dict[str, int] = {}
    for run in _coordinators(instance):
        known[run.run_id] = asked.get(run.run_id, 0)
        try:
            wanted = _shards(run, stores)
        except RelayError as error:
            troubles.append(f"run {run.run_id}: {error}")
            continue
        for number in range(known[run.run_id] + 1, wanted + 1):
            if len(requests) == REQUESTS:
                break
            requests.append(shard_request(run, number, wanted))
            known[run.run_id] = number
    return requests, json.dumps(known), troubles


def shard_request(run: dg.DagsterRun, number: int, of: int) -> dg.RunRequest:
    """The run for one shard of a coordinator: its config and its day, and the share that falls to it."""
    day = run.tags.get(PARTITION_TAG)
    kept = {name: run.tags[name] for name in KEPT if name in run.tags}
    shard = {"coordinator": run.run_id, "number": number, "of": of}
    return dg.RunRequest(
        run_key=f"{run.run_id}/{number}",
        job_name="relay_day" if day else "relay",
        partition_key=day,
        run_config=_day_config(run.run_config, shard) if day else _config(run, shard),
        tags={**kept, KIND_TAG: SHARD, COORDINATOR_TAG: run.run_id, SHARD_TAG: f"{number} of {of}"},
    )


def _config(run: dg.DagsterRun, shard: dict[str, Any]) -> dict[str, Any]:
    sources = ("urls", "url_lines", "manifest")
    form = {name: value for name, value in run.run_config.items() if name not in sources}
    return {**form, "dataset": run.tags[DATASET_TAG], "shard": shard}


def _day_config(given: Any, shard: dict[str, Any]) -> dict[str, Any]:
    form = given.get("ops", {}).get("relayed_images", {}).get("config") or {}
    return {**given, "ops": {"relayed_images": {"config": {**form, "shard": shard}}}}


def _coordinators(instance: dg.DagsterInstance) -> Iterator[dg.DagsterRun]:
    wanted = dg.RunsFilter(
        tags={KIND_TAG: COORDINATOR},
        statuses=[dg.DagsterRunStatus.SUCCESS],
        updated_after=datetime.fromtimestamp(time.time() - RECENT, UTC),
    )
    yield from reversed(instance.get_runs(wanted, limit=COORDINATORS))


def _shards(run: dg.DagsterRun, stores: StoresResource) -> int:
    """How many shards the run asks for: none, where it only has its tags from a run that did."""
    store = stores.open_brief(run.tags[DESTINATION_TAG])
    cut = read_cut(store, run.tags[DATASET_TAG], run.run_id)
    return cut.shards if cut is not None else 0
