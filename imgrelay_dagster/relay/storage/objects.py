"""Writing and deleting objects, with the retries that obstore's client does not make."""

import errno
import re
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import obstore.exceptions
from obstore.store import LocalStore, ObjectStore

from imgrelay_dagster.relay.concurrency.running_clock import call_again_after_pause
from imgrelay_dagster.relay.concurrency.thread_pool import work_through
from imgrelay_dagster.relay.storage.folder_files import clear_partial_files, write_file
from imgrelay_dagster.relay.storage.stores import folder_of

TRIES = 3
"""Tries of what the client never retries by itself: an object damaged on its way, and a deletion."""

DELETING_THREADS = 8
"""Threads that delete objects one by one."""

RECORD_HEADERS = {"Cache-Control": "no-cache"}
"""Headers of every object that is not an image: results and reports change, and no cache may keep an old one."""

_DAMAGED = re.compile(
    "<Code>(?:BadDigest|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch|IncompleteBody|RequestTimeout"
    "|ClientDisconnected)</Code>"
)
"""S3 error codes that say that the body did not arrive as it was sent."""


def put_object(
    store: ObjectStore,
    key: str,
    data: bytes | bytearray | Path,
    content_type: str,
    *,
    headers: Mapping[str, str] = RECORD_HEADERS,
    tags: Mapping[str, str] | None = None,
    durable: bool = True,
) -> None:
    """Store one object completely or not at all: by one PUT with a checksum, or by a temporary file and a rename.

    Only a `Path` may be uploaded in several parts, which become visible together.

    Args:
        headers: obstore's attributes beside the content type: `Cache-Control` and so on, or the name of a metadata
            field. A folder has none.
        tags: the object's tags, for stores that have them.
        durable: write a local file so that it survives a loss of power once this returns, and that nothing is left
            beside it when the process is killed. A receipt must not exist without its object.
    """
    folder = folder_of(store) if durable else None
    if folder is not None and _is_written(folder, key, data):
        return
    options: dict[str, Any] = {} if isinstance(data, Path) else {"use_multipart": False}
    if not isinstance(store, LocalStore):
        options["attributes"] = {"Content-Type": content_type, **headers}
        if tags:
            options["tags"] = dict(tags)
    for tries_left in reversed(range(TRIES)):
        try:
            call_again_after_pause(partial(store.put, key, data, **options), obstore.exceptions.BaseError)
            break
        except obstore.exceptions.BaseError as error:
            if not tries_left or not _DAMAGED.search(str(error)):
                raise


def _is_written(folder: Path, key: str, data: bytes | bytearray | Path) -> bool:
    """Write a file; False if its folder is on another file system, where only obstore can write it."""
    try:
        write_file(folder, key, data, durable=True)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def create_object(store: ObjectStore, key: str, data: bytes) -> None:
    """Store an object if there is none.

    Raises:
        AlreadyExistsError: there is one.
    """
    folder = folder_of(store)
    if folder is None:
        store.put(key, data, mode="create", use_multipart=False)
        return
    try:
        write_file(folder, key, data, durable=True, create=True)
    except FileExistsError as error:
        raise obstore.exceptions.AlreadyExistsError(str(error)) from error


def clear_unfinished(store: ObjectStore) -> None:
    """Delete what killed processes left of objects that they were writing; only a folder has such files."""
    folder = folder_of(store)
    if folder is not None:
        clear_partial_files(folder)


def delete_objects(store: ObjectStore, keys: Sequence[str]) -> None:
    """Delete objects; keys without an object are ignored.

    On Google and Azure a missing object is an error, and obstore then leaves the rest undeleted. So after such an error
    each object is deleted by a request of its own.
    """
    if isinstance(store, LocalStore):
        for key in keys:
            with suppress(FileNotFoundError):
                store.delete(key)
        return
    for tries_left in reversed(range(TRIES)):
        try:
            store.delete(keys)
            return
        except FileNotFoundError:
            _delete_one_by_one(store, keys)
            return
        except obstore.exceptions.PermissionDeniedError:
            raise
        except obstore.exceptions.BaseError:
            if not tries_left:
                raise
            time.sleep(0.2 * (TRIES - tries_left))


def remove_empty_folders(store: ObjectStore, prefix: str) -> None:
    """Remove the empty folders below `prefix`, then it and its parents if they are empty too; only a folder has any."""
    root = folder_of(store)
    if root is None:
        return
    clear_partial_files(root)
    top = root / prefix
    below = sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True)
    for path in (*below, top, *(parent for parent in top.parents if root in parent.parents)):
        with suppress(OSError):  # it is not empty, or does not exist
            path.rmdir()


def _delete_one_by_one(store: ObjectStore, keys: Sequence[str]) -> None:
    """Delete each object by a request of its own.

    Raises:
        BaseError, OSError: the first error that is not about a missing object, once all objects have been tried.
    """
    errors: list[BaseException] = []

    def delete(key: str) -> None:
        with suppress(FileNotFoundError):
            store.delete(key)

    work_through(
        list(keys),
        delete,
        threads=DELETING_THREADS,
        stop=threading.Event(),
        crashed=lambda _, error: errors.append(error),
    )
    if errors:
        raise errors[0]
