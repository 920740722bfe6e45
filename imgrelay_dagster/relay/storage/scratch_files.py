"""Temporary files, in a place of their own inside local staging, with one sentence for a place that does not work.

Each folder is locked by the process that uses it, so that the folders of killed processes are known and cleared.
"""

import errno
import fcntl
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from imgrelay_dagster.relay.errors import RelayError

SCRATCH = "scratch"
"""The name of the folder in staging, beside those of runs."""

MIN_AGE = 60.0
"""Seconds after which a folder that nobody has locked counts as left over."""

_PLACE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.EIO, errno.ENOTDIR}
)
"""Errors that say something about the place. Others are errors of what the files are used for."""

_TRIES = 20

T = TypeVar("T")

_PREFIX, _LOCK = "imgrelay-", "in-use"


class _Place:
    """Where this process puts temporary files; None is Python's default."""

    folder: Path | None = None


def set_scratch_place(staging: Path | None) -> None:
    """Put temporary files below this staging folder from now on; None: where Python puts them (TMPDIR)."""
    _Place.folder = None if staging is None else staging / SCRATCH


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for temporary files that only this user can read; it is deleted when the block ends.

    Raises:
        RelayError: the place for temporary files is full, or cannot be written.
    """
    with scratch_errors():
        folder = Path(_in_place(lambda parent: tempfile.mkdtemp(prefix=_PREFIX, dir=parent)))
        try:
            with (folder / _LOCK).open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _remove_empty_place()


@contextmanager
def scratch_file() -> Iterator[IO[bytes]]:
    """Open a temporary file without a name; raises as `scratch_folder` does."""
    with scratch_errors(), open_scratch_file() as file:
        yield file


def open_scratch_file() -> IO[bytes]:
    """Open a temporary file that the caller closes; raises as `scratch_folder` does."""
    with scratch_errors():
        try:
            return _in_place(lambda parent: tempfile.TemporaryFile(dir=parent))
        finally:
            _remove_empty_place()  # the file has no name there


def clear_leftover_scratch(staging: Path) -> Iterator[str]:
    """Delete the folders of processes that are gone; yields one message for each."""
    for folder in sorted((staging / SCRATCH).glob(f"{_PREFIX}*")):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime >= MIN_AGE and not _is_locked(folder):
                shutil.rmtree(folder)
                yield f"cleared temporary files of a process that was killed: {folder.name}"
    with suppress(OSError):
        (staging / SCRATCH).rmdir()


def _is_locked(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _in_place(make: Callable[[Path | None], T]) -> T:
    """Call `make` with the folder for temporary files, which another process deletes at any moment if it is empty."""
    for _ in range(_TRIES):
        try:
            if _Place.folder is not None:
                _Place.folder.parent.mkdir(parents=True, exist_ok=True)
                _Place.folder.mkdir(mode=0o700, exist_ok=True)
            return make(_Place.folder)
        except FileNotFoundError:
            continue
        except FileExistsError as error:  # `mkdir` found something that was no folder, or that was gone a moment later
            if Path(error.filename).is_file():
                raise
    return make(_Place.folder)


def _remove_empty_place() -> None:
    if _Place.folder is not None:
        with suppress(OSError):  # another process uses it
            _Place.folder.rmdir()


@contextmanager
def scratch_errors() -> Iterator[None]:
    """Turn an error of the place for temporary files into a `RelayError` that names it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _relay_error(str(error)) from error
    except OSError as error:
        if not _is_of_place(error):
            raise
        raise _relay_error(error.strerror or str(error)) from error


def _is_of_place(error: OSError) -> bool:
    """Whether the error is one of temporary files, and not of a store or of another file."""
    if error.filename is None:  # writing to an open file; stores raise errors of their own
        return error.errno in _PLACE or "No usable temporary directory" in str(error)
    name = str(error.filename)
    return _PREFIX in name or (_Place.folder is not None and Path(name) in (_Place.folder, _Place.folder.parent))


def _relay_error(cause: str) -> RelayError:
    if _Place.folder is not None:
        place, setting = f"{str(_Place.folder)!r}", "IMGRELAY_STAGING"
    else:
        setting = "TMPDIR"
        try:
            place = f"{tempfile.gettempdir()!r}"
        except OSError:  # none of the usual folders can be written
            place = "any of the usual folders"
    return RelayError(f"temporary files cannot be written to {place}: {cause}; free some space there, or set {setting}")
