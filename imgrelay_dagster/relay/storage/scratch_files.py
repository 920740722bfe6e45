"""A folder for temporary files, with one sentence for a place that is full or cannot be written."""

import errno
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgrelay_dagster.relay.errors import RelayError

_PLACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.EIO})
"""Errors that say something about the place. Others are errors of what the files are used for."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for temporary files that only this user can read; it is deleted when the block ends.

    Raises:
        RelayError: the place for temporary files is full, or cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="imgrelay-", ignore_cleanup_errors=True) as name:
            yield Path(name)
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
    return "imgrelay-" in str(error.filename)


def _relay_error(cause: str) -> RelayError:
    try:
        place = f"{tempfile.gettempdir()!r}"
    except OSError:  # none of the usual folders can be written
        place = "any of the usual folders"
    return RelayError(f"temporary files cannot be written to {place}: {cause}; free some space there, or set TMPDIR")
