"""What lies in an inbox: every file in it, told apart from any other content at the same address."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from stat import S_ISREG

from obstore.exceptions import BaseError, InvalidPathError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.reader import is_manifest_name
from imgrelay_dagster.relay.records.layout import RECORDS
from imgrelay_dagster.relay.storage.listing import Listed
from imgrelay_dagster.relay.storage.stores import absolute, explain, is_remote, is_s3

MOST_FILES = 20_000
"""Files that an inbox may hold: 20 requests to S3 for a listing, 160 kB of memory."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

MARK_SIZE = 6
"""Bytes remembered of a file: two of 20,000 share them with a chance of one in a million."""


@dataclass(frozen=True, slots=True)
class InboxFile:
    """A file in the inbox. `version` tells its content from any other at the same address.

    Attributes:
        modified: seconds since the epoch.
        trouble: why it can never be relayed, where that shows already.
    """

    address: str
    version: str
    modified: float
    trouble: str | None = None

    @property
    def key(self) -> str:
        """Names this content at this address, as 32 hex digits."""
        text = f"{self.address}\0{self.version}".encode(errors="surrogatepass")
        return hashlib.blake2b(text, digest_size=16).hexdigest()

    @property
    def mark(self) -> bytes:
        """What is remembered of it."""
        return bytes.fromhex(self.key)[:MARK_SIZE]


def list_inbox(
    address: str, open_place: Callable[[str], ObjectStore], list_any: Callable[[str], Iterator[Listed]]
) -> list[InboxFile]:
    """All files in an inbox and below it, by their addresses; names that begin with a dot are left out.

    Args:
        open_place: opens the store of a remote inbox.
        list_any: lists an S3 address whatever the keys there are, for a store that gives up on some.

    Raises:
        RelayError: it cannot be listed, or holds more than `MOST_FILES`.
    """
    address = absolute(address)
    try:
        if not is_remote(address):
            return _all(address, _files(Path(address)))
        try:
            return _all(address, _objects(address, open_place(address)))
        except InvalidPathError:  # some key is none for obstore, of which it tells no more
            if not is_s3(address):
                raise
            return _all(address, _any_objects(address, list_any))
    except (BaseError, OSError) as error:
        raise RelayError(f"inbox {address!r} cannot be listed: {explain(error)}") from error


def _all(address: str, found: Iterator[InboxFile]) -> list[InboxFile]:
    files = list(islice(found, MOST_FILES + 1))
    if len(files) > MOST_FILES:
        raise RelayError(f"inbox {address!r} holds more than {MOST_FILES:,} files; move away those that are done with")
    return sorted(files, key=lambda file: file.address)


def _objects(address: str, store: ObjectStore) -> Iterator[InboxFile]:
    for piece in store.list(chunk_size=1000):
        for item in piece:
            yield from _object(address, item["path"], item["e_tag"], item["last_modified"])


def _any_objects(address: str, list_any: Callable[[str], Iterator[Listed]]) -> Iterator[InboxFile]:
    for item in list_any(address):
        if not item.path.endswith("/"):  # a folder
            yield from _object(address, item.path, item.e_tag, item.modified)


def _object(address: str, path: str, e_tag: str | None, modified: datetime) -> Iterator[InboxFile]:
    if not _is_hidden(path):
        # The time too: the same bytes that are put again after they were deleted are a new drop.
        yield _dropped(f"{address}/{path}", path, f"{e_tag} {modified.isoformat()}", modified.timestamp())


def _files(folder: Path) -> Iterator[InboxFile]:
    """Walks by itself: obstore gives up on a whole folder when one name in it has a tab or is no UTF-8."""
    if not folder.is_dir():
        raise RelayError(f"inbox {str(folder)!r} is no folder; make it, or set IMGRELAY_INBOX to another")
    unread: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unread.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - thousands of them
            with suppress(FileNotFoundError):  # deleted this moment
                if not name.startswith("."):
                    yield _file(path, os.path.relpath(path, folder))
    for error in unread:
        if error.filename == str(folder):
            raise error
        yield InboxFile(str(error.filename), "unreadable", 0.0, f"cannot be read: {error.strerror}")


def _file(path: str, name: str) -> InboxFile:
    try:
        found = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        os.lstat(path)
        return InboxFile(path, "link", 0.0, "leads nowhere")
    except OSError as error:
        return InboxFile(path, "unreadable", 0.0, f"cannot be read: {error.strerror}")
    if not S_ISREG(found.st_mode):
        return InboxFile(path, "special", 0.0, "is no file")
    return _dropped(path, name, f"{found.st_size} {found.st_mtime_ns}", found.st_mtime)


def _dropped(address: str, name: str, version: str, modified: float) -> InboxFile:
    trouble = None
    if RECORDS in name.split("/"):
        trouble = f"lies below {RECORDS}/"
    elif not is_manifest_name(name):
        trouble = "is no manifest"
    elif not _is_text(address):
        trouble = "has a name that is not UTF-8"
    elif is_remote(address) and not _is_openable(name):
        trouble = "has an empty part or a control character in its key"
    # A foreign file is told of once, however it changes.
    return InboxFile(address, version if trouble is None else "foreign", modified, trouble)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _is_openable(path: str) -> bool:
    """Whether obstore takes an object's path."""
    return all(path.split("/")) and not _CONTROL.search(path)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
