"""All processes of a run are stopped for two minutes, as on a machine that is suspended, and go on."""

import signal
import time
from pathlib import Path

import pytest

from imgrelay_dagster.demo.pictures import picture
from tests.support.command import RunningCommand, assert_quiet, until
from tests.support.hostile_origin import HostileOrigin
from tests.support.processes import send
from tests.support.s3_proxy import Fault, FaultyS3
from tests.support.stored_files import Bucket, check_accounts, check_right, write_manifest

ENTRIES = 1000
PAUSE = 120.0
"""Seconds. Every time limit of a request, to an origin or to the store, is shorter."""


@pytest.mark.parametrize("scratch", ["folder", "bucket"])
def test_two_minutes_of_pause_cost_no_entry(
    home: Path, store: FaultyS3, bucket: Bucket, tmp_path: Path, scratch: str
) -> None:
    """At the moment of the pause, requests to origins and to the store are under way."""
    store.fault_for = lambda request: Fault(delay=0.5) if request.is_image else None
    environment = store.environment()
    if scratch == "bucket":
        environment["IMGRELAY_STAGING"] = f"s3://{bucket.name}/staging"
    found = picture("jpeg/small-dawn.jpg")
    with HostileOrigin({"/x.jpg": (found.data, found.media_type)}) as origin:
        manifest = write_manifest(tmp_path, [origin.url(f"/latency/300/{n}/x.jpg") for n in range(ENTRIES)])
        options = ("--manifest", manifest, "--destination", f"s3://{bucket.name}/out", "--urls-per-task", "50")
        with RunningCommand(home, tmp_path, *options, "--json", **environment) as command:
            until(lambda: stored(bucket) > 100, 120, "100 images are stored")
            stop_all(command)
            before = origin.hits.total(), stored(bucket)
            time.sleep(PAUSE)
            assert 100 < before[1] < before[0] < ENTRIES
            send(signal.SIGCONT, command.processes())
            ran = command.wait(180)
        assert ran.code == 0, ran.err
        assert_quiet(ran.err)
        objects = {key.removeprefix("out/"): data for key, data in bucket.objects().items()}
        rows = check_accounts(objects, ran.summary, ENTRIES)
        check_right(objects, rows)
        assert [row["detail"] for row in rows if row["outcome"] != "uploaded"] == []
        assert [row["attempts"] for row in rows if row["attempts"] != 1] == []
        print(f"{scratch}: paused after {before}; requests repeated: {origin.hits.total() - ENTRIES}")


def stored(bucket: Bucket) -> int:
    """How many images are stored."""
    pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix="out/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return sum(not key.startswith("out/_relay/") for key in keys)


def stop_all(command: RunningCommand) -> None:
    """Stop all processes of a run, also those that start meanwhile."""
    stopped: set[int] = set()
    while new := set(command.processes()) - stopped:
        send(signal.SIGSTOP, new)
        stopped |= new
