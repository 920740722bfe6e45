"""Which shard runs the sensor requests, in which order, tick by tick."""

import json

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.automation import shard_runs
from imgrelay_dagster.automation.shard_runs import MAX_REQUESTS_PER_TICK, shard_requests
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import COORDINATOR, DATASET_TAG, DESTINATION_TAG, KIND_TAG
from tests.support.runs import add_run

SHARDS = 3
STORES = StoresResource(s3=S3Resource(), staging_address="staging")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the coordinators whose plan was read. Each of them needs three shard runs."""
    run_ids: list[str] = []

    def shards(run: dg.DagsterRun, _stores: StoresResource) -> int:
        run_ids.append(run.run_id)
        return SHARDS

    monkeypatch.setattr(shard_runs, "_planned_shards", shards)
    return run_ids


def create_coordinator(instance: dg.DagsterInstance) -> str:
    """Create a run that succeeded as a coordinator; returns its id."""
    tags = {KIND_TAG: COORDINATOR, DATASET_TAG: "birds", DESTINATION_TAG: "s3://bucket/here"}
    run = add_run(instance, "relay", tags, {"manifest": "birds.txt"})
    for kind in (DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS):
        instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)
    return run.run_id


def requested_keys(instance: dg.DagsterInstance, ticks: int) -> list[str | None]:
    """The run keys that the sensor requests in this number of ticks."""
    cursor, keys = None, []
    for _ in range(ticks):
        requests, cursor, _ = shard_requests(instance, STORES, cursor)
        assert len(requests) <= MAX_REQUESTS_PER_TICK
        keys += [request.run_key for request in requests]
    return keys


def test_every_coordinator_gets_its_shards_oldest_first(instance: dg.DagsterInstance, read: list[str]) -> None:
    run_ids = [create_coordinator(instance) for _ in range(60)]
    keys = requested_keys(instance, 12)
    assert keys == [f"{run_id}/{number}" for run_id in run_ids for number in range(1, SHARDS + 1)]
    assert sorted(read) == sorted(run_ids), "the plan of each is read once"


def test_a_coordinator_whose_plan_cannot_be_read_is_skipped_and_reported(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = create_coordinator(instance), create_coordinator(instance)

    def shards(run: dg.DagsterRun, _stores: StoresResource) -> int:
        if run.run_id == first:
            raise RelayError("the destination is unreachable")
        return 1

    monkeypatch.setattr(shard_runs, "_planned_shards", shards)
    requests, cursor, errors = shard_requests(instance, STORES, None)
    assert [request.run_key for request in requests] == [f"{second}/1"]
    assert errors == [f"run {first}: the destination is unreachable"]
    assert json.loads(cursor) == {first: [0, None], second: [1, 1]}


@pytest.mark.usefixtures("read")
def test_a_shard_run_that_was_not_launched_is_requested_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_coordinator(instance)
    requests, cursor, _ = shard_requests(instance, STORES, None)
    unlaunched = requests[1]
    add_run(instance, "relay", unlaunched.tags, {"manifest": "birds.txt"})
    assert shard_requests(instance, STORES, cursor)[0] == []
    monkeypatch.setattr(shard_runs, "LAUNCH_GRACE", -60.0)
    assert [request.run_key for request in shard_requests(instance, STORES, cursor)[0]] == [unlaunched.run_key]


@pytest.mark.usefixtures("read")
def test_shard_runs_use_the_destination_of_their_coordinator(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_coordinator(instance)
    monkeypatch.setenv("IMGRELAY_DESTINATION", "s3://bucket/elsewhere")
    for request in shard_requests(instance, STORES, None)[0]:
        assert request.run_config["destination"] == "s3://bucket/here"
        assert "manifest" not in request.run_config
