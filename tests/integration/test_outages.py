"""Store failures during a run: short ones are retried, long ones end the run with complete results."""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.records.layout import lock_key
from tests.support.command import RunningCommand, assert_quiet, until
from tests.support.s3_proxy import CUT, DAMAGED, HANG, LOST, RESET, REVOKED, SLOW_DOWN, Fault, FaultyS3, Request
from tests.support.store_outages import Command, at_images, the_next_launch_does_the_rest
from tests.support.stored_files import Bucket, check_accounts, check_right, write_manifest

ENTRIES = 120
GONE_SECONDS = 20.0
"""Limit for a cancel, which takes at most 10 seconds on an idle machine."""


@pytest.fixture
def manifest(origin: Origin, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name = request.node.name
    urls = [origin.url(f"jpeg/tiny-sunset.jpg?{name}={number}") for number in range(ENTRIES)]
    return write_manifest(tmp_path, urls)


def once_each(*kinds: Fault) -> Callable[[Request], Fault | None]:
    """Fail the first request of each method for each object, with the given faults in turn."""
    met: set[str] = set()
    turn = cycle(kinds)

    def fault_for(request: Request) -> Fault | None:
        name = f"{request.method} {request.key}"
        if name in met:
            return None
        met.add(name)
        kind = next(turn)
        return kind if request.method == "PUT" or kind.damage is None else SLOW_DOWN

    return fault_for


def test_short_failures_are_retried(imgrelay: Command, store: FaultyS3, bucket: Bucket, manifest: Path):
    store.fault_for = once_each(SLOW_DOWN, LOST, RESET, DAMAGED, CUT)
    options = ("--manifest", manifest, "--destination", f"s3://{bucket.name}/x", "--json")
    ran = imgrelay("run", *options, **store.environment())
    assert ran.code == 0, ran.err
    assert ran.summary["uploaded"] == ENTRIES
    assert_quiet(ran.err)
    assert min(store.struck[kind] for kind in (SLOW_DOWN, LOST, RESET, DAMAGED, CUT)) >= ENTRIES / 6
    stored = {key.removeprefix("x/"): data for key, data in bucket.objects().items()}
    check_right(stored, check_accounts(stored, ran.summary, ENTRIES))


def test_a_restart_of_the_store_only_delays_the_run(
    home: Path, seaweed: SeaweedFS, bucket: Bucket, manifest: Path, tmp_path: Path
):
    options = ("--manifest", manifest, "--destination", f"s3://{bucket.name}", "--urls-per-task", "30", "--json")
    with RunningCommand(home, tmp_path, *options, **seaweed.environment()) as command:
        until(lambda: bucket.images() > 0, 90, "the first image is stored")
        seaweed.stop()
        try:
            time.sleep(6)
            assert command.process.poll() is None
        finally:
            seaweed.start()
        ran = command.wait(120)
    assert ran.code == 0, ran.err
    assert_quiet(ran.err)
    stored = bucket.objects()
    rows = check_accounts(stored, ran.summary, ENTRIES)
    check_right(stored, rows)
    assert [row["detail"] for row in rows if row["outcome"] != "uploaded"] == []


def test_a_store_that_is_gone_at_the_end_has_the_results(
    imgrelay: Command, store: FaultyS3, bucket: Bucket, manifest: Path
):
    """The last step has stored them; the run's own process then cannot read them."""
    is_released = threading.Event()

    def fault_for(request: Request) -> Fault | None:
        if is_released.is_set() and request.method == "GET" and request.key == lock_key("m"):
            return REVOKED
        if request.key == lock_key("m") and request.method == "DELETE":
            is_released.set()
        return None

    store.fault_for = fault_for
    options = ("--manifest", manifest, "--destination", f"s3://{bucket.name}", "--dataset", "m", "--json")
    ran = imgrelay("run", *options, **store.environment())
    assert ran.code == 0, ran.err
    assert f"; the results are already written there: {ENTRIES} of {ENTRIES}\n" in ran.err
    assert "the next launch" not in ran.err
    assert any(key.endswith("/results.jsonl") for key in bucket.objects())


def test_revoked_credentials_end_the_run(
    imgrelay: Command, home: Path, store: FaultyS3, bucket: Bucket, manifest: Path
):
    store.fault_for = at_images(REVOKED, after=40)
    options = ("--manifest", manifest, "--destination", f"s3://{bucket.name}", "--urls-per-task", "30", "--json")
    ran = imgrelay("run", *options, **store.environment())
    assert ran.code == 1
    print(ran.err)
    assert_quiet(ran.err)
    assert not list((home / "staging").iterdir())
    assert 40 <= bucket.images() < ENTRIES
    store.fault_for = lambda _: None
    the_next_launch_does_the_rest(imgrelay, home, store, bucket, options, status="failure", entries=ENTRIES)


def test_a_deleted_bucket_ends_the_run(
    home: Path, seaweed: SeaweedFS, bucket: Bucket, manifest: Path, imgrelay: Command, tmp_path: Path
):
    options = ("--manifest", manifest, "--destination", f"s3://{bucket.name}", "--urls-per-task", "30", "--json")
    with RunningCommand(home, tmp_path, *options, **seaweed.environment()) as command:
        until(lambda: bucket.images() > 0, 90, "the first image is stored")
        command.send(signal.SIGSTOP, group=True)  # SeaweedFS makes the bucket again for uploads that are under way
        until(lambda: delete(bucket), 60, "the bucket is gone")
        command.send(signal.SIGCONT, group=True)
        ran = command.wait(120)
    print(ran.err)
    assert (ran.code, ran.out) == (1, "")
    assert_quiet(ran.err)
    assert not list((home / "staging").iterdir())
    until(lambda: delete(bucket), 60, "what was uploaded late is gone")
    bucket.client.create_bucket(Bucket=bucket.name)
    again = imgrelay("run", *options, **seaweed.environment())
    assert (again.code, again.summary["uploaded"]) == (0, ENTRIES), again.err
    stored = bucket.objects()
    check_right(stored, check_accounts(stored, again.summary, ENTRIES))


def delete(bucket: Bucket) -> bool:
    """Delete the bucket and its objects. Returns whether it is gone."""
    with suppress(ClientError):  # an object was stored in the meantime
        for item in bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", []):
            bucket.client.delete_object(Bucket=bucket.name, Key=item["Key"])
        bucket.client.delete_bucket(Bucket=bucket.name)
    return bucket.name not in {found["Name"] for found in bucket.client.list_buckets()["Buckets"]}


def test_a_cancel_does_not_wait_for_a_hanging_store(
    imgrelay: Command, home: Path, store: FaultyS3, bucket: Bucket, manifest: Path, tmp_path: Path
):
    store.fault_for = at_images(HANG, after=40)
    options = ("--manifest", manifest, "--destination", f"s3://{bucket.name}", "--urls-per-task", "30", "--json")
    with RunningCommand(home, tmp_path, *options, **store.environment()) as command:
        until(lambda: store.struck[HANG] > 8, 90, "the store hangs")
        time.sleep(3)
        began = time.monotonic()
        command.send(signal.SIGINT, group=True)
        ran = command.wait(GONE_SECONDS)
        command.wait_until_gone(5)
        print(f"gone after {time.monotonic() - began:.1f} s: {ran.err}")
    assert (ran.code, ran.out) == (130, "")
    assert_quiet(ran.err)
    assert not list((home / "staging").iterdir())
    store.fault_for = lambda _: None
    the_next_launch_does_the_rest(imgrelay, home, store, bucket, options, status="canceled", entries=ENTRIES)
