"""Receipts of a canceled run that arrive after its results: housekeeping and the next launch add them."""

import json
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.defs.sensors import housekeeping
from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import RESULTS_TAG
from tests.conftest import Ran
from tests.support.command import RunningCommand, until
from tests.support.hostile_origin import HostileOrigin
from tests.support.stored_files import Bucket, check_accounts, check_right, images, results, write_manifest

QUICK, SLOW, GONE, REPEATED = 20, 60, 3, 2
"""URLs that are answered at once, late, with 404; and lines that repeat one of the slow URLs."""

ENTRIES = QUICK + SLOW + GONE + REPEATED
LATE = 5
"""Entries whose receipts arrive late; the last of them is repeated."""


@dataclass
class Canceled:
    """A canceled run in a bucket, and the receipts and images of one that did everything."""

    summary: dict[str, Any]
    bucket: Bucket
    options: tuple[object, ...]
    environment: dict[str, str]
    receipts: list[dict[str, Any]]
    complete: dict[str, bytes]

    def late(self) -> list[str]:
        """Store images of entries that the run did not attempt, and their receipts; returns the URLs."""
        rows = results(self.bucket.objects(), self.summary)
        open_lines = [row["line"] for row in rows if row["outcome"] == "not_attempted"]
        assert {ENTRIES - 1, ENTRIES} <= set(open_lines)
        slowest = QUICK + GONE + SLOW  # the line that others repeat
        found = [receipt for receipt in self.receipts if receipt["line"] in {*open_lines[: LATE - 1], slowest}]
        assert len(found) == LATE
        for receipt in found:
            self.put(receipt["key"], self.complete[receipt["key"]])
        lines = b"".join(json.dumps(receipt).encode() + b"\n" for receipt in found)
        self.put(f"_relay/birds/receipts/{self.summary['run_id']}/upload-late-0.jsonl", lines)
        return [receipt["url"] for receipt in found]

    def put(self, key: str, data: bytes) -> None:
        self.bucket.client.put_object(Bucket=self.bucket.name, Key=key, Body=data)

    def check(self, urls: list[str]) -> None:
        """Check that the run's results and summary now include these URLs, and keep all else as it was."""
        stored = self.bucket.objects()
        folder = f"_relay/birds/runs/{self.summary['run_id']}"
        summary = json.loads(stored[f"{folder}/summary.json"])
        rows = results(stored, summary)
        uploaded = {row["url"] for row in rows if row["outcome"] == "uploaded"}
        assert set(urls) <= uploaded
        assert [row["outcome"] for row in rows[-REPEATED:]] == ["uploaded"] * REPEATED
        assert summary["uploaded"] == self.summary["uploaded"] + LATE + REPEATED
        assert summary["not_attempted"] == self.summary["not_attempted"] - LATE - REPEATED
        same = ("status", "entries", "failed", "unchanged", "reasons", "seconds", "started_at", "ended_at")
        assert {name: summary.get(name) for name in same} == {name: self.summary.get(name) for name in same}
        failed = [json.loads(line) for line in stored[f"{folder}/failed.jsonl"].splitlines()]
        assert [row["key"] for row in failed] == [f"own/gone-{number}.jpg" for number in range(GONE)]
        assert [key for key in stored if key.startswith(f"_relay/birds/receipts/{summary['run_id']}/")] == [
            f"_relay/birds/receipts/{summary['run_id']}/merged.jsonl"
        ]
        check_right(stored, rows)


@pytest.fixture
def origin() -> Any:
    found = picture("jpeg/small-dawn.jpg")
    with HostileOrigin({"/x.jpg": (found.data, found.media_type)}) as server:
        yield server


@pytest.fixture
def canceled(
    imgrelay: Callable[..., Ran], home: Path, tmp_path: Path, origin: HostileOrigin, seaweed: SeaweedFS, bucket: Bucket
) -> Canceled:
    rows = [{"url": origin.url(f"/latency/5/{number}/x.jpg")} for number in range(QUICK)]
    rows += [{"url": origin.url(f"/nothing/{n}.jpg"), "key": f"own/gone-{n}.jpg"} for n in range(GONE)]
    rows += [{"url": origin.url(f"/latency/900/{number}/x.jpg")} for number in range(SLOW)]
    rows += [rows[-1]] * REPEATED
    manifest = write_manifest(tmp_path, [json.dumps(row) for row in rows], "birds.jsonl")
    options = ("--manifest", manifest, "--urls-per-task", 30, "--tolerated-failure-percentage", 100, "--json")
    environment = seaweed.environment()
    whole = Bucket(seaweed, f"{bucket.name}-whole")
    done = imgrelay("run", *options, "--destination", f"s3://{whole.name}", **environment)
    assert done.code == 0, done.err
    complete = whole.objects()
    merged = complete[f"_relay/birds/receipts/{done.summary['run_id']}/merged.jsonl"]
    receipts = [json.loads(line) for line in merged.splitlines()]

    here = (*options, "--destination", f"s3://{bucket.name}")
    with RunningCommand(home, tmp_path, *map(str, here), cold=False, **environment) as command:
        until(lambda: bucket.images() >= QUICK, 90, "the first task is uploaded")
        command.send(signal.SIGINT)
        ran = command.wait(30)
    assert ran.code == 130, ran.err
    check_accounts(bucket.objects(), ran.summary, ENTRIES)
    assert ran.summary["failed"] == GONE
    return Canceled(ran.summary, bucket, here, environment, receipts, complete)


def test_housekeeping_adds_late_receipts_to_the_results(canceled: Canceled, home: Path, seaweed: SeaweedFS) -> None:
    s3 = S3Resource(
        endpoint_url=seaweed.endpoint,
        region_name="us-east-1",
        aws_access_key_id=seaweed.access_key,
        aws_secret_access_key=seaweed.secret_key,
    )
    stores = StoresResource(s3=s3, staging_address=str(home / "staging"))

    def tick() -> str | None:
        with dg.build_sensor_context(instance, resources={"stores": stores}) as context:
            return housekeeping.evaluate_tick(context).skip_message

    run_id = canceled.summary["run_id"]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert tick() == "no run needs attention"
        before = canceled.bucket.objects()
        urls = canceled.late()
        assert tick() == f"run {run_id} got receipts that arrived after its end"
        canceled.check(urls)
        assert tick() == "no run needs attention"
        done, entries = canceled.summary["uploaded"] + LATE + REPEATED, ENTRIES
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.CANCELED
        assert run.tags[RESULTS_TAG] == f"{done} of {entries}, {GONE} failed"
        settings = f"_relay/birds/runs/{run_id}/settings.json"
        assert canceled.bucket.objects()[settings] == before[settings]


def test_the_next_launch_adds_late_receipts_to_the_results(
    canceled: Canceled, imgrelay: Callable[..., Ran], origin: HostileOrigin
) -> None:
    urls = canceled.late()
    before = Counter(origin.hits)
    again = imgrelay("run", *canceled.options, **canceled.environment)
    assert again.code == 0, again.err
    canceled.check(urls)
    assert again.summary["unchanged"] == canceled.summary["uploaded"] + LATE + REPEATED
    assert again.summary["compared"]["run_id"] == canceled.summary["run_id"]
    asked = Counter(origin.hits) - before
    assert not [url for url in urls if asked[url.partition(str(origin.port))[2]]]
    assert set(images(canceled.bucket.objects())) == set(images(canceled.complete))
