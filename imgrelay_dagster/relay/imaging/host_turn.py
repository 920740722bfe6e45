"""One very large image at a time on a host: several steps with one each would take gigabytes."""

import fcntl
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from imgrelay_dagster.relay.errors import Stopped

_CHECK_SECONDS = 0.1


@contextmanager
def host_turn(stop: threading.Event) -> Iterator[None]:
    """Wait until no other process of this user on this host is in such a block. A killed process leaves it at once.

    Where no lock file can be written, the block is entered without waiting.

    Raises:
        Stopped: `stop` was set while waiting.
    """
    try:
        path = os.path.join(tempfile.gettempdir(), f"imgrelay-large-images-{os.getuid()}")  # noqa: PTH118 - a short path
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield
        return
    try:
        while not _locked(file):
            if stop.wait(_CHECK_SECONDS):
                raise Stopped
        yield
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
