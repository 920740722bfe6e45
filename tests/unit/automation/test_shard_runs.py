"""Which shard runs are asked for, in which order, round by round."""

import json
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.automation import shard_runs
from imgrelay_dagster.automation.shard_runs import REQUESTS, shard_requests
from imgrelay_dagster.definitions import relay_job
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import COORDINATOR, DATASET_TAG, DESTINATION_TAG, KIND_TAG

SHARDS = 3
STORES = StoresResource(s3=S3Resource(), staging_address="staging")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The coordinators whose records were read, all of which ask for three shards."""
    found: list[str] = []

    def shards(run: dg.DagsterRun, _stores: StoresResource) -> int:
        found.append(run.run_id)
        return SHARDS

    monkeypatch.setattr(shard_runs, "_shards", shards)
    return found


def coordinator(instance: dg.DagsterInstance) -> str:
    tags = {KIND_TAG: COORDINATOR, DATASET_TAG: "birds", DESTINATION_TAG: "s3://bucket/here"}
    run = instance.create_run_for_job(relay_job(), run_config={"manifest": "birds.txt"}, tags=tags)
    for kind in (DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS):
        instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)
    return run.run_id


def rounds(instance: dg.DagsterInstance, number: int) -> list[str | None]:
    """The keys of the runs that so many rounds ask for."""
    cursor, keys = None, []
    for _ in range(number):
        requests, cursor, _ = shard_requests(instance, STORES, cursor)
        assert len(requests) <= REQUESTS
        keys += [request.run_key for request in requests]
    return keys


def test_however_many_wait_each_gets_its_shards_the_oldest_first(instance: dg.DagsterInstance, read: list[str]) -> None:
    made = [coordinator(instance) for _ in range(60)]
    asked = rounds(instance, 12)
    assert asked == [f"{run_id}/{number}" for run_id in made for number in range(1, SHARDS + 1)]
    assert sorted(read) == sorted(made), "each one's records are read once"


def test_one_whose_records_are_away_is_passed_over_and_told_of(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = coordinator(instance), coordinator(instance)

    def shards(run: dg.DagsterRun, _stores: StoresResource) -> int:
        if run.run_id == first:
            raise RelayError("the destination is away")
        return 1

    monkeypatch.setattr(shard_runs, "_shards", shards)
    requests, cursor, troubles = shard_requests(instance, STORES, None)
    assert [request.run_key for request in requests] == [f"{second}/1"]
    assert troubles == [f"run {first}: the destination is away"]
    assert json.loads(cursor) == {first: [0, None], second: [1, 1]}


@pytest.mark.usefixtures("read")
def test_one_that_was_made_and_not_launched_is_asked_for_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator(instance)
    requests, cursor, _ = shard_requests(instance, STORES, None)
    left = requests[1]
    instance.create_run_for_job(relay_job(), run_config={"manifest": "birds.txt"}, tags=left.tags)
    assert shard_requests(instance, STORES, cursor)[0] == []
    monkeypatch.setattr(shard_runs, "LAUNCHED", -60.0)
    assert [request.run_key for request in shard_requests(instance, STORES, cursor)[0]] == [left.run_key]


@pytest.mark.usefixtures("read")
def test_shards_go_where_their_coordinator_went(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator(instance)
    monkeypatch.setenv("IMGRELAY_DESTINATION", "s3://bucket/elsewhere")
    for request in shard_requests(instance, STORES, None)[0]:
        assert request.run_config["destination"] == "s3://bucket/here"
        assert "manifest" not in request.run_config
