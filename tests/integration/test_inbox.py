"""The inbox in a real S3 server, and the sensor that requests a run for each manifest."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.automation import inbox as imgrelay_inbox
from imgrelay_dagster.definitions import relay_job
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.inbox import InboxCursor
from imgrelay_dagster.relay.manifest.inbox_files import InboxFile, list_inbox
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from tests.support.inbox import Sensor, no_list, scan
from tests.support.listed_bucket import ListedBucket


def test_a_bucket_is_listed_with_names_of_any_kind(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch):
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    seaweed.create_bucket("dropped")
    client = seaweed.client()
    good = ["birds.csv", "two words.txt", "Vögel.jsonl", "eu/birds.csv", "100% sure+.csv"]
    for name in [*good, "notes.pdf", "_relay/birds/runs/1/failed.jsonl", ".tmp/x.csv"]:
        client.put_object(Bucket="dropped", Key=f"inbox/{name}", Body=b"x")
    client.put_object(Bucket="dropped", Key="inbox-of-others/birds.csv", Body=b"x")
    client.put_object(Bucket="dropped", Key="inbox/folder/", Body=b"")
    stores = StoresResource(s3=S3Resource(endpoint_url=seaweed.endpoint), staging_address="staging")

    def listing() -> dict[str, InboxFile]:
        files = list_inbox("s3://dropped/inbox/", partial(stores.open, policy=INTERACTIVE), no_list)
        return {file.address.removeprefix("s3://dropped/inbox/"): file for file in files}

    first = listing()
    assert sorted(name for name, file in first.items() if file.error is None) == sorted(good)
    client.put_object(Bucket="dropped", Key="inbox/birds.csv", Body=b"y")
    again = listing()
    assert {name for name in first if first[name].key != again[name].key} == {"birds.csv"}
    with pytest.raises(RelayError, match="inbox 's3://no-such-bucket' cannot be listed"):
        list_inbox("s3://no-such-bucket", partial(stores.open, policy=INTERACTIVE), no_list)


def test_a_key_that_cannot_be_opened_is_reported_and_does_not_stop_the_others(
    seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch
):
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    seaweed.create_bucket("odd-keys")
    stores = StoresResource(s3=S3Resource(endpoint_url=seaweed.endpoint), staging_address="staging")

    def put(name: str) -> None:
        seaweed.client().put_object(Bucket="odd-keys", Key=f"inbox/{name}", Body=b"x")

    for name in ("birds of prey.csv", "eu/Vögel.txt", "notes.pdf", ".hidden/x.csv"):
        put(name)
    before = list_inbox("s3://odd-keys/inbox", partial(stores.open, policy=INTERACTIVE), no_list)
    put("two\nlines.csv")
    put("folder/")
    (odd,) = set(
        after := list_inbox("s3://odd-keys/inbox", partial(stores.open, policy=INTERACTIVE), stores.list_any)
    ) - set(before)
    assert (odd.address, odd.error) == (
        "s3://odd-keys/inbox/two\nlines.csv",
        "has an empty segment or a control character in its key",
    )
    assert [file for file in after if file != odd] == before  # their versions are the same in both listings


def test_a_key_with_two_slashes_is_reported_and_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch):
    """The listing is as Amazon S3 returns it; SeaweedFS merges two slashes into one."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    keys = ["inbox//first.csv", "inbox/birds.csv", "inbox/eu//birds.csv", "inbox/eu/birds.csv"]
    with ListedBucket(keys) as bucket:
        stores = StoresResource(s3=S3Resource(endpoint_url=bucket.url, region_name="x"), staging_address="staging")
        files = list_inbox("s3://odd/inbox", partial(stores.open, policy=INTERACTIVE), stores.list_any)
        assert [file.address for file in files if file.error is None] == [
            "s3://odd/inbox/birds.csv",
            "s3://odd/inbox/eu/birds.csv",
        ]
        assert {file.address for file in files if file.error} == {
            "s3://odd/inbox//first.csv",
            "s3://odd/inbox/eu//birds.csv",
        }
        result = scan(files, InboxCursor(), set(), atomic=True)
        assert [file.address for file in result.ready] == ["s3://odd/inbox/birds.csv", "s3://odd/inbox/eu/birds.csv"]
        assert len(scan(files, result.cursor, {file.key for file in result.ready}, atomic=True).ignored) == 2


# The sensor, on a Dagster instance without its daemon


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path_factory.mktemp("home"))) as instance:
        yield instance


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "in box"
    folder.mkdir()
    monkeypatch.setenv("IMGRELAY_INBOX", str(folder))
    return folder


def test_the_sensor_requests_a_run_for_each_manifest_and_reports_the_rest(instance: dg.DagsterInstance, inbox: Path):
    sensor = Sensor(instance)
    for name in ("birds of prey.csv", "Vögel.txt", "notes.pdf"):
        (inbox / name).write_text("url\n")
    reason = sensor.tick().skip_reason
    assert reason is not None
    assert reason.skip_message == (
        "waiting for 2 manifests to stop changing: Vögel.txt, birds of prey.csv; "
        "ignored from now on: notes.pdf (is not a manifest)"
    )
    result = sensor.tick()
    assert [(request.run_config, request.tags) for request in result.run_requests or []] == [
        ({"manifest": f"{inbox}/{name}"}, {"imgrelay/manifest": f"{inbox}/{name}", "imgrelay/dataset": dataset})
        for name, dataset in (("birds of prey.csv", "birds-of-prey"), ("Vögel.txt", "V-gel"))
    ]
    sensor.create_runs(result)
    reason = sensor.tick().skip_reason
    assert reason is not None
    assert reason.skip_message == f"nothing new in {inbox}; 2 manifests handled"


def test_a_run_that_was_not_launched_is_requested_again(instance: dg.DagsterInstance, inbox: Path):
    sensor = Sensor(instance)
    (inbox / "stuck.csv").write_text("url\n")
    sensor.tick()
    (request,) = sensor.tick().run_requests or []
    tags = {RUN_KEY_TAG: request.run_key or "", SENSOR_NAME_TAG: "inbox"}
    run = instance.create_run_for_job(relay_job(), run_config=request.run_config, tags=tags)
    assert run.status is dg.DagsterRunStatus.NOT_STARTED
    assert [again.run_key for again in sensor.tick().run_requests or []] == [request.run_key]


def test_a_link_out_of_the_inbox_is_refused_and_does_not_stop_the_others(
    instance: dg.DagsterInstance, inbox: Path, tmp_path: Path
):
    (tmp_path / "secret.csv").write_text("url\n")
    (inbox / "link.csv").symlink_to(tmp_path / "secret.csv")
    sensor = Sensor(instance)
    sensor.tick()
    reason = sensor.tick().skip_reason
    assert reason is not None
    assert "ignored from now on: link.csv (manifest " in str(reason.skip_message)
    assert "lies outside the folders that runs may use" in str(reason.skip_message)
    (inbox / "birds.csv").write_text("url\n")
    sensor.tick()
    assert len(sensor.tick().run_requests or []) == 1


def test_many_manifests_are_taken_in_batches(
    instance: dg.DagsterInstance, inbox: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(imgrelay_inbox, "MAX_RUNS_PER_TICK", 20)
    for n in range(50):
        (inbox / f"{n}.csv").write_text("url\n")
    sensor = Sensor(instance)
    sensor.tick()
    batches = []
    while requests := (result := sensor.tick()).run_requests:
        batches.append([request.run_config["manifest"] for request in requests])
        sensor.create_runs(result)
    assert [len(batch) for batch in batches] == [20, 20, 10]
    assert {Path(address).name for batch in batches for address in batch} == {f"{n}.csv" for n in range(50)}


def test_without_an_inbox_the_sensor_says_how_to_set_one(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("IMGRELAY_INBOX", raising=False)
    reason = Sensor(instance).tick().skip_reason
    assert reason is not None
    assert reason.skip_message == "IMGRELAY_INBOX is not set; set it to a folder or s3://bucket/prefix"
