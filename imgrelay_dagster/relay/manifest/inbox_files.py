"""List the files of an inbox, each identified by its address and its version."""

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
from imgrelay_dagster.relay.keys import RESERVED_ROOT
from imgrelay_dagster.relay.manifest_formats import is_manifest_name
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.listing import ListedObject

MAX_FILES = 20_000
"""Files in an inbox: listing them takes 20 requests to S3, and the cursor 160 kB."""

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

DIGEST_BYTES = 6
"""Bytes of a file's digest in the cursor: the chance of a collision among 20,000 files is one in a million."""


@dataclass(frozen=True, slots=True)
class InboxFile:
    """A file in the inbox.

    Attributes:
        address: its path or `s3://` address.
        version: changes whenever the content at this address changes.
        modified: time of the last change, in seconds since the epoch.
        error: why the file can never be relayed; None if no reason is known.
    """

    address: str
    version: str
    modified: float
    error: str | None = None

    @property
    def key(self) -> str:
        """Identifies this content at this address: 32 hex digits."""
        text = f"{self.address}\0{self.version}".encode(errors="surrogatepass")
        return hashlib.blake2b(text, digest_size=16).hexdigest()

    @property
    def digest(self) -> bytes:
        """The beginning of `key`, which the cursor remembers."""
        return bytes.fromhex(self.key)[:DIGEST_BYTES]


def list_inbox(
    address: str, open_store: Callable[[str], ObjectStore], list_any: Callable[[str], Iterator[ListedObject]]
) -> list[InboxFile]:
    """List all files in an inbox and in folders below it, sorted by address; names that begin with a dot are skipped.

    Args:
        open_store: opens the store of a remote inbox.
        list_any: lists a remote address by another client, which accepts any key.

    Raises:
        RelayError: the inbox cannot be listed, or holds more than `MAX_FILES`.
    """
    address = absolute(address)
    try:
        if not is_remote(address):
            return _sorted(address, _files(Path(address)))
        try:
            return _sorted(address, _objects(address, open_store(address)))
        except InvalidPathError:  # obstore rejects a key and aborts the listing
            return _sorted(address, _all_objects(address, list_any))
    except (BaseError, OSError) as error:
        raise RelayError(f"inbox {address!r} cannot be listed: {explain(error)}") from error


def _sorted(address: str, found: Iterator[InboxFile]) -> list[InboxFile]:
    files = list(islice(found, MAX_FILES + 1))
    if len(files) > MAX_FILES:
        raise RelayError(f"inbox {address!r} holds more than {MAX_FILES:,} files; move the processed ones away")
    return sorted(files, key=lambda file: file.address)


def _objects(address: str, store: ObjectStore) -> Iterator[InboxFile]:
    for chunk in store.list(chunk_size=1000):
        for item in chunk:
            yield from _object(address, item["path"], item["e_tag"], item["last_modified"])


def _all_objects(address: str, list_any: Callable[[str], Iterator[ListedObject]]) -> Iterator[InboxFile]:
    for item in list_any(address):
        if not item.path.endswith("/"):  # a folder
            yield from _object(address, item.path, item.e_tag, item.modified)


def _object(address: str, path: str, e_tag: str | None, modified: datetime) -> Iterator[InboxFile]:
    if not _is_hidden(path):
        # The time is included: the same bytes that are put again after a deletion are a new manifest.
        yield _inbox_file(f"{address}/{path}", path, f"{e_tag} {modified.isoformat()}", modified.timestamp())


def _files(folder: Path) -> Iterator[InboxFile]:
    """Yield the files of a local folder. obstore is not used: it fails at names with a tab or that are not UTF-8."""
    if not folder.is_dir():
        raise RelayError(f"inbox {str(folder)!r} is not a folder; create it, or set IMGRELAY_INBOX to another")
    errors: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - faster than Path, for thousands of files
            with suppress(FileNotFoundError):  # deleted meanwhile
                if not name.startswith("."):
                    yield _file(path, os.path.relpath(path, folder))
    for error in errors:
        if error.filename == str(folder):
            raise error
        yield InboxFile(str(error.filename), "unreadable", 0.0, f"cannot be read: {error.strerror}")


def _file(path: str, name: str) -> InboxFile:
    try:
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        os.lstat(path)
        return InboxFile(path, "link", 0.0, "is a broken link")
    except OSError as error:
        return InboxFile(path, "unreadable", 0.0, f"cannot be read: {error.strerror}")
    if not S_ISREG(status.st_mode):
        return InboxFile(path, "special", 0.0, "is not a file")
    return _inbox_file(path, name, f"{status.st_size} {status.st_mtime_ns}", status.st_mtime)


def _inbox_file(address: str, name: str, version: str, modified: float) -> InboxFile:
    error = None
    if RESERVED_ROOT in name.split("/"):
        error = f"is below {RESERVED_ROOT}/"
    elif not is_manifest_name(name):
        error = "is not a manifest"
    elif not _is_text(address):
        error = "has a name that is not UTF-8"
    elif is_remote(address) and not _is_openable(name):
        error = "has an empty segment or a control character in its key"
    # All versions of a file that is not a manifest count as one, so that it is reported once.
    return InboxFile(address, version if error is None else "foreign", modified, error)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _is_openable(path: str) -> bool:
    """Whether obstore accepts an object's path."""
    return all(path.split("/")) and not _CONTROL_CHARACTER.search(path)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
