"""10,000 images into Google's and Azure's test servers: killed, canceled, finished, and launched again; sensors."""

import hashlib
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import ObjectStore

from imgrelay_dagster.demo.origin import Origin
from tests.conftest import Ran
from tests.support.cloud_sensors import check_landing
from tests.support.clouds import SCHEMES, Cloud, start_cloud
from tests.support.command import RunningCommand, until

ENTRIES = 10_000
TASK = 250
GONE_LIMIT = 60.0
"""Seconds until the last process of a killed run is gone, on a busy machine."""

BEGUN = 3 * TASK
"""Entries that may be under way when a run is interrupted; they are downloaded again."""


@pytest.fixture(scope="module", params=SCHEMES)
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with start_cloud(request.param, tmp_path_factory.mktemp("cloud")) as started:
        yield started


def paths(store: ObjectStore, prefix: str = "") -> list[str]:
    return [meta["path"] for chunk in store.list(prefix) for meta in chunk]


def uploads(store: ObjectStore) -> int:
    """The number of receipts of tasks that were uploaded at least in part."""
    return sum("/upload-" in path for path in paths(store, "_relay/birds/receipts"))


def check_whole(out: ObjectStore, ran: Ran) -> None:
    """Each line is stored once, under its key, with the bytes that the results tell; nothing else is there."""
    results = bytes(out.get(f"_relay/birds/runs/{ran.summary['run_id']}/results.jsonl").bytes())
    rows = [json.loads(line) for line in results.splitlines()]
    assert [row["line"] for row in rows] == list(range(1, ENTRIES + 1))
    assert {row["outcome"] for row in rows} <= {"uploaded", "unchanged"}
    keys = Counter(path for path in paths(out) if not path.startswith("_relay/"))
    assert keys == Counter(row["key"] for row in rows)
    assert max(keys.values()) == 1
    for row in rows[:: ENTRIES // 200]:
        assert hashlib.sha256(bytes(out.get(row["key"]).bytes())).hexdigest() == row["sha256"]


def test_no_object_is_lost_or_doubled(cloud: Cloud, home: Path, tmp_path: Path):
    out, staging = cloud.open("out"), cloud.open("staging")
    with Origin() as origin:
        urls = [origin.url(f"jpeg/tiny-sunset.jpg?n={n}") for n in range(ENTRIES)]
        (tmp_path / "birds.txt").write_text("".join(f"{url}\n" for url in urls))
        environment = {**cloud.environment, "IMGRELAY_STAGING": cloud.address("staging")}
        options = ("--manifest", tmp_path / "birds.txt", "--destination", cloud.address("out"), "--json")
        arguments = (*options, "--urls-per-task", str(TASK))

        with RunningCommand(home, tmp_path, *arguments, **environment) as command:
            until(lambda: uploads(out) >= 4, 300, "some tasks are stored")
            command.process.kill()
            until(lambda: not command.processes(), GONE_LIMIT, "the steps of the killed run have ended")
        stored = len(paths(out))

        with RunningCommand(home, tmp_path, *arguments, **environment) as command:
            before = uploads(out)
            until(lambda: uploads(out) >= before + 4, 300, "more tasks are stored")
            command.send(signal.SIGINT, group=True)
            canceled = command.wait(GONE_LIMIT)
            command.wait_until_gone(5)
        assert canceled.code == 130, canceled.err
        assert canceled.summary["unchanged"] >= TASK
        assert canceled.summary["not_attempted"] > 0
        print(f"{cloud.scheme}: {stored} objects at the kill, {canceled.summary} at the cancel")

        began = time.monotonic()
        with RunningCommand(home, tmp_path, *arguments, **environment) as command:
            done = command.wait(900)
        assert done.code == 0, done.err
        assert done.summary["uploaded"] + done.summary["unchanged"] == ENTRIES
        assert done.summary["unchanged"] >= canceled.summary["unchanged"] + canceled.summary["uploaded"]
        print(f"{cloud.scheme}: {done.summary['uploaded']} uploaded in {time.monotonic() - began:.0f} s")
        check_whole(out, done)
        requests = origin.hits.total()
        assert requests <= ENTRIES + 2 * BEGUN
        print(f"{cloud.scheme}: {requests} requests to the origin for {ENTRIES} images")

        with RunningCommand(home, tmp_path, *arguments, **environment) as command:
            again = command.wait(600)
        assert (again.code, again.summary["unchanged"]) == (0, ENTRIES), again.err
        assert origin.hits.total() == requests
        check_whole(out, again)
    assert not [path for path in paths(out) if path.endswith(("lock.json", "ledger.jsonl.gz"))]
    left = {path.partition("/")[0] for path in paths(staging)}
    assert done.summary["run_id"] not in left
    assert again.summary["run_id"] not in left


def test_inbox_at_azure_and_late_manifests_at_google(origin: Origin, tmp_path: Path) -> None:
    check_landing("az", "gs", origin, tmp_path)
