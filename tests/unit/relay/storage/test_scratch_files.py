"""Temporary files: private, deleted, and one sentence where their place is full or cannot be written."""

import errno
import sqlite3
import stat
import tempfile
from pathlib import Path

import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.scratch_files import scratch_folder


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
