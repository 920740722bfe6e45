"""Temporary files: private, deleted, and one sentence where their place is full or cannot be written."""

import errno
import sqlite3
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage import scratch_files
from imgrelay_dagster.relay.storage.scratch_files import (
    clear_leftover_scratch,
    open_scratch_file,
    scratch_file,
    scratch_folder,
    set_scratch_place,
)


@pytest.fixture(autouse=True)
def default_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch_files._Place, "folder", None)


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    set_scratch_place(tmp_path / "staging")
    return tmp_path / "staging"


def test_the_folder_lies_in_staging_is_private_and_deleted(tmp_path: Path) -> None:
    set_scratch_place(tmp_path / "staging")
    with scratch_folder() as folder, scratch_folder() as second:
        assert folder.parent == second.parent == tmp_path / "staging" / "scratch"
        assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)] == [0o700, 0o700]
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_staging_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "staging").write_text("a file")
    set_scratch_place(tmp_path / "staging")
    with pytest.raises(RelayError, match=r"staging.*set IMGRELAY_STAGING"), scratch_folder():
        pass


def test_the_folder_of_a_killed_process_is_cleared_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_scratch_place(tmp_path)
    killed = tmp_path / "scratch" / "imgrelay-killed"
    with scratch_folder() as used:
        killed.mkdir()
        (killed / "in-use").touch()
        assert list(clear_leftover_scratch(tmp_path)) == []  # it may have been made just now
        monkeypatch.setattr(scratch_files, "MIN_AGE", 0.0)
        (message,) = clear_leftover_scratch(tmp_path)
        assert message.endswith(": imgrelay-killed")
        assert used.exists()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_private_and_deleted() -> None:
    with scratch_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "x").write_text("x")
    assert not folder.exists()


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), sqlite3.OperationalError("database or disk is full")]
)
def test_a_full_place_is_named(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RelayError) as caught, scratch_folder():
        raise error
    assert str(caught.value).startswith(f"temporary files cannot be written to {str(tmp_path)!r}: ")
    assert str(caught.value).endswith("free some space there, or set TMPDIR")


def test_a_place_that_does_not_exist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(RelayError, match="set TMPDIR"), scratch_folder():
        pass


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(FileNotFoundError), scratch_folder():
        Path("/nowhere/at/all").read_text()


def test_a_place_that_another_process_deletes_while_it_is_made_is_made_again(
    staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = staging / "scratch"
    place.mkdir(parents=True)
    deleted = []
    is_dir = Path.is_dir

    def is_dir_after_deletion(path: Path) -> bool:
        if path == place and not deleted:
            deleted.append(path)
            path.rmdir()
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", is_dir_after_deletion)  # `Path.mkdir` calls it when it finds the folder there
    with scratch_folder() as folder:
        assert folder.parent == place
    assert deleted


def test_a_file_in_the_place_of_the_folder_is_named(staging: Path) -> None:
    staging.mkdir()
    (staging / "scratch").write_text("a file")
    with pytest.raises(RelayError, match=r"written to '.*/scratch': File exists; .* set IMGRELAY_STAGING"):
        open_scratch_file()


def test_files_and_folders_of_many_threads_leave_nothing_behind(staging: Path):
    def work(number: int) -> int:
        for _ in range(50):
            with scratch_folder() as folder, scratch_file() as file, open_scratch_file() as other:
                (folder / "a").write_bytes(b"x")
                file.write(b"xx")
                other.write(b"xxx")
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))
    assert list(staging.iterdir()) == []


def test_a_file_without_a_name_leaves_no_folder_while_it_is_open(staging: Path):
    with scratch_file() as file:
        assert list(staging.iterdir()) == []
        file.write(b"x")
        file.seek(0)
        assert file.read() == b"x"
