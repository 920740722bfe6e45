"""Runs on hosts whose clocks are minutes apart: neither stored images nor the lock of a dataset are mistaken."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.pictures import picture
from tests.conftest import ROOT, Ran
from tests.support import other_clock
from tests.support.command import RunningCommand, until
from tests.support.hostile_origin import HostileOrigin
from tests.support.processes import send
from tests.support.stored_files import Bucket, check_accounts, check_right, files, images, write_manifest

ENTRIES = 60
MINUTE = 60


@pytest.fixture
def slow() -> Iterator[HostileOrigin]:
    found = picture("jpeg/small-dawn.jpg")
    with HostileOrigin({"/x.jpg": (found.data, found.media_type)}) as server:
        yield server


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The Dagster instance of another host, which knows nothing of the runs in `home`."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    return folder


@pytest.mark.parametrize("store", ["folder", "bucket"])
def test_images_of_a_later_run_are_not_taken_for_those_of_a_host_that_is_ahead(
    imgrelay: Callable[..., Ran], origin: Origin, bucket: Bucket, tmp_path: Path, store: str
) -> None:
    """Quality 90 by a host 20 minutes ahead, then 40 and 90 again by hosts with the right time."""
    out = tmp_path / "out"
    destination, environment = (str(out), {}) if store == "folder" else (f"s3://{bucket.name}", bucket.environment)
    manifest = write_manifest(tmp_path, [origin.url(f"jpeg/tiny-sunset.jpg?n={n}") for n in range(ENTRIES)])

    def relay(quality: int, **more: str) -> dict[str, Any]:
        options = ("--manifest", manifest, "--destination", destination, "--quality", str(quality), "--json")
        ran = imgrelay("run", *options, **environment, **more)
        assert ran.code == 0, ran.err
        return ran.summary

    def stored() -> dict[str, bytes]:
        return files(out) if store == "folder" else bucket.objects()

    ahead = relay(90, **other_clock.install(tmp_path / "ahead", 20 * MINUTE))
    assert datetime.fromisoformat(ahead["started_at"]).timestamp() > time.time() + 15 * MINUTE
    fine = images(stored())
    assert relay(40)["uploaded"] == ENTRIES
    assert images(stored()) != fine
    again = relay(90)
    assert again["uploaded"] == ENTRIES
    assert images(stored()) == fine
    check_right(stored(), check_accounts(stored(), again, ENTRIES))
    assert relay(90)["unchanged"] == ENTRIES


@pytest.mark.parametrize(
    ("first", "second"),
    [(0, 6), (-6, 0)],
    ids=["the new run is 6 minutes ahead", "the running one is 6 minutes behind"],
)
def test_a_run_keeps_its_dataset_whatever_the_clocks(
    imgrelay: Callable[..., Ran],
    home: Path,
    elsewhere: Path,
    slow: HostileOrigin,
    tmp_path: Path,
    first: int,
    second: int,
) -> None:
    urls = [slow.url(f"/latency/300/{number}/x.jpg") for number in range(ENTRIES)]
    out = tmp_path / "out"
    options = ("--manifest", write_manifest(tmp_path, urls), "--destination", out, "--json")
    lock = out / "_relay" / "birds" / "receipts" / "lock.json"
    with RunningCommand(home, tmp_path, *options, **other_clock.install(tmp_path / "first", first * MINUTE)) as running:
        until(lambda: lock.exists() and slow.hits, 120, "the first run is at work")
        assert abs(json.loads(lock.read_text())["at"] - time.time() - first * MINUTE) < MINUTE
        steps = running.step_processes()
        send(signal.SIGSTOP, steps)
        later = imgrelay(
            "run",
            *options,
            DAGSTER_HOME=str(elsewhere),
            **other_clock.install(tmp_path / "second", second * MINUTE),
        )
        send(signal.SIGCONT, steps)
        assert later.code == 1, later.err
        assert "dataset 'birds' is being relayed by run" in later.err
        ran = running.wait(120)
    assert ran.code == 0, ran.err
    assert ran.summary["uploaded"] == ENTRIES
    check_right(files(out), check_accounts(files(out), ran.summary, ENTRIES))
