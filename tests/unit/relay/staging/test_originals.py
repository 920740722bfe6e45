"""Kept downloads: what is moved, found again, given to a task, and deleted."""

import os
from pathlib import Path

import pytest
from obstore.store import LocalStore

from imgrelay_dagster.relay.outcomes import Record, Stage
from imgrelay_dagster.relay.staging import packs
from imgrelay_dagster.relay.staging.originals import KeptOriginals, read_trailer, url_digest
from imgrelay_dagster.relay.staging.packs import PackReader, PackWriter
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import Task

LARGE = b"L" * (packs.MAX_PACKED_ENTRY + 1)
BODIES = {1: b"first", 2: b"second", 3: LARGE}


def url(line: int) -> str:
    return f"http://h/{line}.jpg?signature=secret"


class Runs:
    """Runs that share a staging folder."""

    def __init__(self, folder: Path, limit: int = 2**30) -> None:
        self.folder = folder
        self.originals = folder / "originals"
        self.kept = KeptOriginals(self.originals, limit)

    def staging(self, run_id: str) -> Staging:
        return Staging(LocalStore(self.folder / "staging", mkdir=True), run_id, kept=self.kept)

    def download(self, run_id: str, bodies: dict[int, bytes] = BODIES, *, interrupted: bool = False) -> None:
        digests = {line: url_digest(url(line)) for line in bodies}
        try:
            with PackWriter(self.staging(run_id), "lines", Stage.DOWNLOAD, digests=digests) as writer:
                for line, body in bodies.items():
                    with writer.open_entry(line) as buffer:
                        buffer.write(body)
                if interrupted:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass

    def take(self, run_id: str) -> dict[int, bytes]:
        """What a task of a run reads of the kept downloads."""
        staging = self.staging(run_id)
        staging.note_originals("birds")
        originals = staging.originals_of("birds", "lines")
        found = {line: originals.take(url(line)) for line in BODIES} if originals else {}
        locations = {line: location for line, location in found.items() if location is not None}
        reader = PackReader(staging, Task("lines", tuple(Record(n, "") for n in locations), locations=locations))
        return {line: reader.read(line) for line in locations}


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.mark.parametrize("interrupted", [True, False])
def test_the_next_run_of_the_dataset_takes_up_what_an_earlier_one_downloaded(runs: Runs, interrupted: bool):
    runs.download("run1", interrupted=interrupted)
    runs.staging("run1").keep_originals("birds")
    runs.staging("run1").clear()
    assert runs.take("run2") == BODIES
    assert runs.staging("run2").note_originals("other") == 0


def test_taken_downloads_survive_their_deletion_and_are_kept_once(runs: Runs):
    runs.download("run1")
    runs.staging("run1").keep_originals("birds")
    before = sorted(runs.originals.rglob("*"))
    assert runs.take("run2") == BODIES
    runs.staging("run2").keep_originals("birds", "lines")
    assert sorted(runs.originals.rglob("*")) == before
    runs.take("run3")
    runs.staging("run3").forget_originals("birds")
    assert not runs.originals.exists()
    assert len(list((runs.folder / "staging" / "run3" / "lines").rglob("*"))) == 3


def test_the_oldest_downloads_are_deleted_beyond_the_limit(tmp_path: Path):
    runs = Runs(tmp_path, limit=5_000)
    for number in range(3):
        runs.download(f"run{number}", {number: bytes(3_000)})
        for file in (tmp_path / "staging" / f"run{number}" / "lines").rglob("*"):
            os.utime(file, (number, number))
        runs.staging(f"run{number}").keep_originals("birds")
    assert set(runs.kept.index("birds")) == {url_digest(url(2))}


def test_of_two_downloads_of_a_url_the_newer_one_counts(runs: Runs):
    for number, body in enumerate((b"old", b"new")):
        runs.download(f"run{number}", {1: body})
        for file in (runs.folder / "staging" / f"run{number}" / "lines").rglob("*"):
            os.utime(file, (number, number))
        runs.staging(f"run{number}").keep_originals("birds")
    assert runs.take("run2") == {1: b"new"}


@pytest.mark.parametrize(
    "content", [b"", b"short", b"x" * 100, b"\xff" * 8 + b"imgrelay", b"{" + bytes(7) + b"\x01imgrelay"]
)
def test_a_file_that_is_cut_off_or_foreign_holds_no_downloads(tmp_path: Path, content: bytes):
    (tmp_path / "pack").write_bytes(content)
    assert read_trailer(tmp_path / "pack") == {}
    assert read_trailer(tmp_path / "absent") == {}


def test_no_url_is_written_to_disk(runs: Runs):
    runs.download("run1")
    assert not [file for file in runs.folder.rglob("*") if file.is_file() and b"secret" in file.read_bytes()]


def test_nothing_is_kept_without_a_place_for_it(tmp_path: Path):
    staging = Staging(LocalStore(tmp_path), "run1")
    staging.keep_originals("birds")
    assert (staging.keeps_originals, staging.note_originals("birds"), staging.originals_of("birds", "t")) == (
        False,
        0,
        None,
    )
