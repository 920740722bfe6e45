"""Journals: downloads of a killed step that were not in a pack yet are found again."""

from pathlib import Path

import pytest
from obstore.store import LocalStore

from imgrelay_dagster.relay.outcomes import Record, Stage
from imgrelay_dagster.relay.staging import packs
from imgrelay_dagster.relay.staging.originals import KeptOriginals, url_digest
from imgrelay_dagster.relay.staging.packs import PackReader, PackWriter
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import Task

BODIES = {
    1: b"first",
    2: b"",
    3: b"L" * (packs.MAX_PACKED_ENTRY + 1),
    **dict.fromkeys(range(4, 8), b"M" * (packs.PACK_SIZE // 3)),
    8: b"last",
}
"""Small ones, one with an object of its own, and enough for a full pack."""


def url(entry: int) -> str:
    return f"http://h/{entry}.jpg?signature=secret"


def killed_step(folder: Path) -> Staging:
    """Staging after a step that was killed when it had downloaded everything: its packs are not closed."""
    staging = Staging(LocalStore(folder / "staging", mkdir=True), "run1", kept=KeptOriginals(folder / "kept", 2**30))
    digests = {entry: url_digest(url(entry)) for entry in BODIES}
    writer = PackWriter(staging, "lines", Stage.DOWNLOAD, digests=digests)
    for entry, body in BODIES.items():
        with writer.open_entry(entry) as buffer:
            buffer.write(body)
    return staging


def journals(folder: Path) -> list[Path]:
    return list(folder.rglob("*.journal"))


def found(staging: Staging) -> dict[int, bytes]:
    """What a second start of the step finds."""
    left = staging.left_downloads("lines")
    locations = {entry: left[url_digest(url(entry))] for entry in BODIES if url_digest(url(entry)) in left}
    reader = PackReader(staging, Task("lines", tuple(Record(n, "") for n in locations), locations=locations))
    return {entry: reader.read(entry) for entry in locations}


def test_a_killed_step_has_lost_none_of_its_downloads(tmp_path: Path):
    staging = killed_step(tmp_path)
    assert len(journals(tmp_path)) == 1  # that of the full pack is deleted
    assert found(staging) == BODIES
    assert journals(tmp_path) == []
    assert found(staging) == BODIES


def test_the_next_run_takes_up_the_downloads_of_a_killed_run(tmp_path: Path):
    killed_step(tmp_path).keep_originals("birds")
    kept = KeptOriginals(tmp_path / "kept", 2**30).index("birds")
    assert kept.keys() == {url_digest(url(entry)) for entry in BODIES}


@pytest.mark.parametrize("cut", [1, 4, 30, 50])
def test_a_download_that_was_cut_off_by_the_kill_is_made_again(tmp_path: Path, cut: int):
    staging = killed_step(tmp_path)
    (journal,) = journals(tmp_path)
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert found(staging).keys() | {8} == BODIES.keys()
    assert 8 not in found(staging)


def test_a_step_that_ends_leaves_no_journal(tmp_path: Path):
    staging = Staging(LocalStore(tmp_path), "run1")
    with PackWriter(staging, "lines", Stage.DOWNLOAD, digests={1: url_digest(url(1))}) as writer:
        writer.add(1, b"first")
        assert len(journals(tmp_path)) == 1
    assert journals(tmp_path) == []
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
