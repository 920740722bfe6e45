"""A manifest where it lies, a local file or an object in a store: whether it is there, and its rows."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.reader import Row, read_manifest
from imgrelay_dagster.relay.storage.stores import explain, is_remote, split_object_address


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest that is there: its size in bytes, and what tells this content from another at the same address."""

    address: str
    size: int
    modified: datetime
    version: str


def find_manifest(address: str, open_place: Callable[[str], ObjectStore]) -> Found | None:
    """The manifest at a path or an `s3://` address, or None when nothing lies there. Reads nothing of it.

    Args:
        open_place: opens the store that a remote manifest lies in, given its address (`s3://bucket`).

    Raises:
        RelayError: the place cannot be asked.
    """
    try:
        if not is_remote(address):
            found = Path(address).stat()
            modified = datetime.fromtimestamp(found.st_mtime, UTC)
            version = f"{found.st_mtime_ns:x}-{found.st_size:x}"
            return Found(address, found.st_size, modified, version) if S_ISREG(found.st_mode) else None
        place, key = split_object_address(address)
        meta = open_place(place).head(key)
        # The time too: what is put back as it was before is to be relayed again, over what came between.
        version = f"{(meta['e_tag'] or '').strip(chr(34))}-{int(meta['last_modified'].timestamp()):x}"
        return Found(address, meta["size"], meta["last_modified"], version)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (BaseError, OSError) as error:
        raise RelayError(f"manifest {address!r} cannot be looked for: {explain(error)}") from error


def open_local(path: str) -> BinaryIO:
    """A local manifest. It is read more than once, and whole: neither a pipe nor a device will do.

    Raises:
        RelayError: it is one.
        OSError: it is not there, or may not be read.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - opening a pipe would wait for its writer
    if not S_ISREG(mode) and not S_ISDIR(mode):
        raise RelayError(f"manifest {path!r} is no file but a pipe or a device; write it into a file first")
    return Path(path).open("rb")


def open_manifest(address: str, open_place: Callable[[str], ObjectStore]) -> Iterator[Row]:
    """The rows of the manifest at a path or an `s3://` address, read as they are asked for.

    Args:
        open_place: opens the store that a remote manifest lies in, given its address (`s3://bucket`).

    Raises:
        RelayError: it is not there, may not be read, or cannot be read as a whole.
    """
    try:
        if is_remote(address):
            place, key = split_object_address(address)
            stream = cast(BinaryIO, obstore.open_reader(open_place(place), key))
            yield from read_manifest(stream, address)
        else:
            with open_local(address) as file:
                yield from read_manifest(file, address)
    except FileNotFoundError as error:
        raise RelayError(f"manifest {address!r} does not exist; check the path or the bucket") from error
    except (BaseError, OSError) as error:
        raise RelayError(f"manifest {address!r} cannot be read: {explain(error)}") from error
