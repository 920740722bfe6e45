"""Find and open a manifest, which is a local file or an object in a store."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO, cast

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.folder_rows import folder_rows, is_folder
from imgrelay_dagster.relay.manifest.options import Columns, ReadOptions
from imgrelay_dagster.relay.manifest.reader import DEFAULTS, read_manifest
from imgrelay_dagster.relay.manifest.rows import Row
from imgrelay_dagster.relay.manifest_formats import needs_seek
from imgrelay_dagster.relay.records.layout import dataset_of_failed_file
from imgrelay_dagster.relay.storage.addresses import is_remote, split_object_address
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.reading import ObjectStream, spool


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A manifest that exists.

    Attributes:
        address: its path or `s3://` address.
        size: bytes.
        modified: time of its last change, in UTC.
        version: changes whenever the content at this address changes.
    """

    address: str
    size: int
    modified: datetime
    version: str


def find_manifest(address: str, open_store: Callable[[str], ObjectStore]) -> ManifestFile | None:
    """Find the manifest at a path or an `s3://` address, without reading it; None when it does not exist.

    Args:
        open_store: opens the store of a remote manifest, given the store's address (`s3://bucket`).

    Raises:
        RelayError: the file system or the store fails.
    """
    try:
        if not is_remote(address):
            status = Path(address).stat()
            modified = datetime.fromtimestamp(status.st_mtime, UTC)
            version = f"{status.st_mtime_ns:x}-{status.st_size:x}"
            return ManifestFile(address, status.st_size, modified, version) if S_ISREG(status.st_mode) else None
        store_address, key = split_object_address(address)
        meta = open_store(store_address).head(key)
        # The time is included, so that an earlier content that is put back is relayed again.
        version = f"{(meta['e_tag'] or '').strip(chr(34))}-{int(meta['last_modified'].timestamp()):x}"
        return ManifestFile(address, meta["size"], meta["last_modified"], version)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (BaseError, OSError) as error:
        raise RelayError(f"manifest {address!r} cannot be checked: {explain(error)}") from error


def open_local(path: str) -> BinaryIO:
    """Open a local manifest. It must be a file, because it is read more than once.

    Raises:
        RelayError: it is a pipe or a device.
        OSError: it does not exist or cannot be read.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - stat before open: opening a pipe would wait for its writer
    if not S_ISREG(mode) and not S_ISDIR(mode):
        raise RelayError(f"manifest {path!r} is a pipe or a device, not a file; write it to a file first")
    return Path(path).open("rb")


def open_manifest(
    address: str, open_store: Callable[[str], ObjectStore], options: ReadOptions = DEFAULTS
) -> Iterator[Row]:
    """Yield the rows of the manifest at a path or an `s3://` address, reading as the iterator advances.

    Args:
        open_store: opens the store of a remote manifest, given the store's address (`s3://bucket`).
        options: which columns hold what. They do not apply to imgrelay's own `failed.jsonl`.

    Raises:
        RelayError: the manifest does not exist, cannot be read, or is not valid as a whole.
    """
    if dataset_of_failed_file(address) is not None:
        options = replace(options, columns=Columns())
    try:
        if is_folder(address):
            yield from folder_rows(address, open_store, options)
        elif is_remote(address):
            store_address, key = split_object_address(address)
            store = open_store(store_address)
            if needs_seek(address):
                with spool(store, key) as file:
                    yield from read_manifest(cast(BinaryIO, file), address, options)
            else:
                yield from read_manifest(cast(BinaryIO, ObjectStream(store, key)), address, options)
        else:
            with open_local(address) as file:
                yield from read_manifest(file, address, options)
    except FileNotFoundError as error:
        raise RelayError(f"manifest {address!r} does not exist; check the path or the bucket") from error
    except (BaseError, OSError) as error:
        raise RelayError(f"manifest {address!r} cannot be read: {explain(error)}") from error
