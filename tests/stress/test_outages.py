"""Outages that last: a store that stays away, that crawls, that hangs, that is the scratch space too."""

import random
import time
from pathlib import Path

import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from tests.support.command import RunningCommand, assert_quiet, until
from tests.support.dagster_servers import DagsterServers, connections
from tests.support.s3_proxy import HANG, LOST, RESET, SLOW_DOWN, Fault, FaultyS3, Request
from tests.support.store_outages import Command, at_images, settle_all, the_next_launch_does_the_rest
from tests.support.stored_files import Bucket, check_accounts, check_right, write_manifest

ENTRIES = 600
GONE_LIMIT = 20.0
"""Seconds from the click until the last process is gone: 10 is promised, the rest is for a busy machine."""


@pytest.fixture
def urls(origin: Origin, request: pytest.FixtureRequest) -> list[str]:
    return [origin.url(f"jpeg/tiny-sunset.jpg?{request.node.name}={number}") for number in range(ENTRIES)]


def test_forty_seconds_without_a_store_cost_no_entry(
    home: Path, seaweed: SeaweedFS, bucket: Bucket, urls: list[str], tmp_path: Path
):
    options = ("--manifest", write_manifest(tmp_path, urls), "--destination", f"s3://{bucket.name}", "--json")
    with RunningCommand(home, tmp_path, *options, "--urls-per-task", "100", **seaweed.environment()) as command:
        until(lambda: bucket.images() > 0, 90, "the first image is stored")
        seaweed.stop()
        try:
            time.sleep(40)
            assert command.process.poll() is None
        finally:
            seaweed.start()
        ran = command.wait(240)
    assert ran.code == 0, ran.err
    assert_quiet(ran.err)
    stored = bucket.objects()
    rows = check_accounts(stored, ran.summary, ENTRIES)
    check_right(stored, rows)
    assert [row["detail"] for row in rows if row["outcome"] != "uploaded"] == []


def test_a_store_that_does_not_come_back_ends_the_run_and_the_next_one_does_the_rest(
    imgrelay: Command, home: Path, store: FaultyS3, bucket: Bucket, urls: list[str], tmp_path: Path
):
    store.fault_for = at_images(RESET, after=150)
    manifest = write_manifest(tmp_path, urls)
    options = ("--manifest", manifest, "--destination", f"s3://{bucket.name}", "--urls-per-task", "100", "--json")
    began = time.monotonic()
    ran = imgrelay("run", *options, **store.environment())
    print(f"ended after {time.monotonic() - began:.0f} s: {ran.err}")
    assert ran.code == 1
    assert_quiet(ran.err)
    assert "the run ends here; launch it again when the store is back" in ran.err
    assert not list((home / "staging").iterdir())
    store.fault_for = lambda _: None
    the_next_launch_does_the_rest(imgrelay, home, store, bucket, options, status="failure", entries=ENTRIES)


def test_a_store_that_takes_six_seconds_for_each_object_is_only_slow(
    imgrelay: Command, store: FaultyS3, bucket: Bucket, urls: list[str], tmp_path: Path
):
    store.fault_for = lambda request: Fault(delay=6.0) if request.method == "PUT" else None
    options = ("--manifest", write_manifest(tmp_path, urls[:64]), "--destination", f"s3://{bucket.name}", "--json")
    ran = imgrelay("run", *options, **store.environment())
    assert ran.code == 0, ran.err
    assert_quiet(ran.err)
    stored = bucket.objects()
    check_right(stored, check_accounts(stored, ran.summary, 64))
    assert ran.summary["uploaded"] == 64


def test_a_stormy_store_that_is_the_scratch_space_too(
    imgrelay: Command, seaweed: SeaweedFS, store: FaultyS3, bucket: Bucket, urls: list[str], tmp_path: Path
):
    """One request in twenty fails, whatever it is for."""
    chance = random.Random(3)
    seaweed.create_bucket("staging")

    def fault_for(request: Request) -> Fault | None:
        if chance.random() > 0.05:
            return None
        return chance.choice([SLOW_DOWN, RESET, LOST, Fault(delay=2.0)])

    store.fault_for = fault_for
    options = ("--manifest", write_manifest(tmp_path, urls), "--destination", f"s3://{bucket.name}", "--json")
    environment = {**store.environment(), "IMGRELAY_STAGING": "s3://staging/scratch"}
    ran = imgrelay("run", *options, "--urls-per-task", "100", **environment)
    print(f"struck {sum(store.struck.values()) - store.struck[Fault()]} of {sum(store.struck.values())} requests")
    assert ran.code == 0, ran.err
    assert_quiet(ran.err)
    stored = bucket.objects()
    rows = check_accounts(stored, ran.summary, ENTRIES)
    check_right(stored, rows)
    assert [row["detail"] for row in rows if row["outcome"] != "uploaded"] == []
    assert not seaweed.client().list_objects_v2(Bucket="staging").get("Contents")


def test_a_run_is_terminated_from_the_ui_while_its_store_hangs(
    store: FaultyS3, bucket: Bucket, origin: Origin, urls: list[str], tmp_path: Path
):
    store.fault_for = at_images(HANG, after=150)
    with DagsterServers(tmp_path / "served", **store.environment()) as served:
        form = {
            "manifest": served.write_manifest("birds.txt", urls),
            "destination": f"s3://{bucket.name}",
            "urls_per_task": 100,
        }
        run_id = served.launch(form)
        until(lambda: store.struck[HANG] > 8, 120, "the store hangs")
        time.sleep(3)
        times = served.terminate_to_the_end(run_id)
        print(f"canceled and gone after {times} s")
        assert times is not None
        assert times[1] < GONE_LIMIT
        assert connections(origin.port) == 0
        assert connections(store.port) <= 2  # the sensor's own, perhaps
        store.fault_for = lambda _: None
        settle_all(served.home, store)
        assert served.staged(run_id) == []
        again = served.launch(form)
        assert served.wait_for(again) == "SUCCESS", served.why(again)
        assert served.tags(again)["imgrelay/results"] == f"{ENTRIES} of {ENTRIES}"
        stored = bucket.objects()
        assert f"_relay/birds/runs/{run_id}/summary.json" in stored
        assert not [key for key in stored if key.endswith(("lock.json", "ledger.jsonl.gz"))]
