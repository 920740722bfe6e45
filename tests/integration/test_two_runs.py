"""Two concurrent runs of one dataset: the second one fails; if both run anyway, both produce correct results."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgrelay_dagster.demo.pictures import picture
from tests.conftest import ROOT, Ran
from tests.support.command import RunningCommand, assert_quiet, until
from tests.support.hostile_origin import HostileOrigin
from tests.support.processes import send
from tests.support.stored_files import check_accounts, check_right, files, write_manifest

ENTRIES = 60


@pytest.fixture
def slow() -> Iterator[HostileOrigin]:
    found = picture("jpeg/small-dawn.jpg")
    with HostileOrigin({"/x.jpg": (found.data, found.media_type)}) as server:
        yield server


def test_two_concurrent_runs_of_one_dataset(
    imgrelay: Callable[..., Ran], home: Path, slow: HostileOrigin, tmp_path: Path
):
    urls = [slow.url(f"/latency/300/{number}/x.jpg") for number in range(ENTRIES)]
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    options = ("--manifest", write_manifest(tmp_path, urls), "--destination", out, "--json")
    elsewhere.mkdir()
    (elsewhere / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with RunningCommand(home, tmp_path, *options) as first:
        lock = out / "_relay" / "birds" / "receipts" / "lock.json"
        until(lambda: lock.exists() and slow.hits, 120, "the first run is at work")
        steps = first.step_processes()
        send(signal.SIGSTOP, steps)
        later = imgrelay("run", *options, DAGSTER_HOME=str(elsewhere))
        assert (later.code, later.out) == (1, "")
        assert "dataset 'birds' is being relayed by run" in later.err
        assert "wait for it to end or cancel it, or give this run a dataset of its own" in later.err
        assert_quiet(later.err)

        lock.unlink()  # as if the first run had not refreshed its lock for a long time
        before = slow.hits.total()
        with RunningCommand(elsewhere, elsewhere, *options) as second:
            until(lambda: slow.hits.total() > before, 120, "the second run is at work")
            send(signal.SIGCONT, steps)
            both = [second.wait(120), first.wait(120)]
    for ran in both:
        assert ran.code == 0, ran.err
        assert ran.summary["uploaded"] == ENTRIES
        check_right(files(out), check_accounts(files(out), ran.summary, ENTRIES))
    assert not lock.exists()
