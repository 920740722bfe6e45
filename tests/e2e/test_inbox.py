"""Manifests that land in the inbox, under the real daemon: one run each, whatever they are and whenever they come."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.support.command import until
from tests.support.dagster_runs import OVER
from tests.support.dagster_servers import DagsterServers
from tests.support.ui import runs_tagged, sensor_ticks, start_sensor, stop_sensor


@pytest.fixture
def inbox(served: DagsterServers) -> Iterator[Path]:
    start_sensor(served, "inbox")
    yield Path(served.environment["IMGRELAY_INBOX"])
    stop_sensor(served, "inbox")


def lines(origin: Origin, name: str, count: int) -> str:
    return "".join(origin.url(f"jpeg/small-dawn.jpg?{name}-{n}") + "\n" for n in range(count))


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def runs_of(served: DagsterServers, manifest: Path) -> list[str]:
    """The runs of a manifest, the newest first."""
    return list(runs_tagged(served, imgrelay__manifest=str(manifest)))


def wait_for_runs(served: DagsterServers, manifest: Path, count: int = 1) -> str:
    """Wait for so many runs of a manifest, and for the last one to end; returns it."""
    runs = until(lambda: found if len(found := runs_of(served, manifest)) >= count else None, 120, f"{manifest} is run")
    assert len(runs) == count
    served.wait_for(runs[0], *OVER)
    return runs[0]


def write_until_waited_for(served: DagsterServers, origin: Origin, growing: Path, gone: Path) -> int:
    """Write a manifest line by line until a tick says that it waits for that one alone; returns the lines.

    Meanwhile the manifest `gone` is deleted as soon as it has a run, which takes some seconds to begin.
    """
    with growing.open("w") as file:
        for written in range(1, 120):
            file.write(lines(origin, f"growing-{written}", 1))
            file.flush()
            if gone.exists() and runs_of(served, gone):
                gone.unlink()
            said = [tick["skipReason"] for tick in sensor_ticks(served, "inbox")]
            if not gone.exists() and "waiting for 1 manifest to stop changing: growing.txt" in said:
                return written
            time.sleep(0.5)
    raise AssertionError(f"no tick waits for {growing}: {said}")


def test_manifests_of_every_kind_are_run_once(served: DagsterServers, origin: Origin, inbox: Path):
    words = put(inbox / "birds of prey.csv", "url\n" + lines(origin, "prey", 3))
    foreign_name = put(inbox / "Vögel.txt", lines(origin, "vögel", 2))
    twins = [put(inbox / folder / "same.txt", lines(origin, folder, 2)) for folder in ("eu", "us")]
    broken = inbox / "broken.csv.gz"
    broken.write_bytes(b"this is not gzip")
    put(inbox / "notes.pdf", "no manifest")
    gone = put(inbox / "gone.txt", lines(origin, "gone", 2))
    growing = inbox / "growing.txt"
    written = write_until_waited_for(served, origin, growing, gone)
    assert not runs_of(served, growing)

    for manifest, dataset, entries in (
        (words, "birds-of-prey", 3),
        (foreign_name, "V-gel", 2),
        (growing, "growing", written),
    ):
        run_id = wait_for_runs(served, manifest)
        assert served.status(run_id) == "SUCCESS", served.why(run_id)
        assert served.tags(run_id)["imgrelay/dataset"] == dataset
        assert served.summary(run_id)["uploaded"] == entries
    for manifest in twins:  # one dataset, so one after the other
        run_id = wait_for_runs(served, manifest)
        assert served.status(run_id) == "SUCCESS", served.why(run_id)
        assert served.tags(run_id)["imgrelay/dataset"] == "same"
    assert served.failure(wait_for_runs(served, broken)).startswith(f"manifest '{broken}' is not valid gzip")
    assert served.failure(wait_for_runs(served, gone)).startswith(f"manifest '{gone}' does not exist")

    put(words, "url\n" + lines(origin, "prey", 4))
    run_id = wait_for_runs(served, words, 2)
    assert (served.summary(run_id)["unchanged"], served.summary(run_id)["uploaded"]) == (3, 1)

    def said() -> list[str]:
        return [tick["skipReason"] or "" for tick in sensor_ticks(served, "inbox")]

    until(lambda: said()[0].startswith(f"nothing new in {inbox}; "), 60, "nothing is new any more")
    assert sum("notes.pdf" in words for words in said()) == 1
    assert [len(runs_of(served, manifest)) for manifest in (*twins, broken, gone, growing)] == [1, 1, 1, 1, 1]
