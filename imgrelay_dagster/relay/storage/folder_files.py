"""Files of a store in a folder: they are written under a temporary name in a place of their own, then renamed.

obstore writes `NAME.jpg#1` beside `NAME.jpg`. A process that is killed at that moment leaves it among the images, where
nobody deletes it, and obstore does not list it. Here what a killed process leaves is in one folder. Each file in it is
locked by its writer, so that the files of killed processes are known and deleted, also by another run.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

PARTIAL_FILES = "_relay/.partial"
"""The folder with the files that are being written, in the folder of the store (see `records/layout.py`)."""

MIN_AGE = 24 * 3600.0
"""Seconds after which a file counts as left over on a file system without locks."""

_COPIED_BYTES = 256 << 10  # at once
_TRIES = 20


def write_file(folder: Path, key: str, data: bytes | bytearray | Path, *, durable: bool, create: bool = False) -> None:
    """Write a file completely or not at all.

    Args:
        durable: sync it, so that it survives a loss of power.
        create: do not replace a file.

    Raises:
        FileExistsError: there is a file, and `create` is set.
        OSError: it cannot be written. EXDEV: its folder is on another file system than that of the store.
        ValueError: the key leads out of the folder.
    """
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise ValueError(f"{key!r} is not a key")
    for tries_left in reversed(range(_TRIES)):
        try:
            with _partial_file(folder / PARTIAL_FILES) as (path, file):
                _fill(file, data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
                _publish(path, folder / key, create=create)
            return
        except FileNotFoundError:
            # A clean-up deleted the folder, or the file where locks are not seen; or the data is a missing file.
            if not tries_left or (isinstance(data, Path) and not data.exists()):
                raise


@contextmanager
def _partial_file(place: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open a new file in `place`, locked by this process; delete it at the end if it is still there."""
    path = place / uuid4().hex
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:
        with suppress(FileExistsError):  # also if a clean-up deletes it at this moment
            place.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        try:
            with suppress(OSError):  # the file system has no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            yield path, file
        finally:
            with suppress(OSError):  # it has its final name
                path.unlink()


def _fill(file: IO[bytes], data: bytes | bytearray | Path) -> None:
    if isinstance(data, Path):
        with data.open("rb") as source:
            shutil.copyfileobj(source, file, _COPIED_BYTES)
    else:
        file.write(data)


def _publish(path: Path, final: Path, *, create: bool) -> None:
    """Give a complete file its name. Its folder is made if there is none. An error names the file, not its `path`."""
    move = os.link if create else os.replace
    try:
        try:
            move(path, final)
        except FileNotFoundError:
            final.parent.mkdir(parents=True, exist_ok=True)
            move(path, final)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(final)) from error


def clear_partial_files(folder: Path) -> None:
    """Delete the unfinished files of processes that are gone. Errors are ignored: the next call goes on."""
    place = folder / PARTIAL_FILES
    with suppress(OSError):
        for path in list(place.iterdir()):
            with suppress(OSError):
                _delete_if_left(path)
    with suppress(OSError):  # it has files, or does not exist
        place.rmdir()


def _delete_if_left(path: Path) -> None:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:
            if time.time() - path.stat().st_mtime < MIN_AGE:
                return
        path.unlink()
