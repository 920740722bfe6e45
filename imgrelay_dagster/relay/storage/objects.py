"""Writing and deleting objects, with the retries that obstore's client does not make."""

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import obstore.exceptions
from obstore.store import LocalStore, ObjectStore

from imgrelay_dagster.relay.storage.stores import folder_of

TRIES = 3
"""Tries of what the client never retries by itself: an object damaged on its way, and a deletion."""

_DAMAGED = re.compile(
    "<Code>(?:BadDigest|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch|IncompleteBody|RequestTimeout"
    "|ClientDisconnected)</Code>"
)
"""S3 error codes that say that the body did not arrive as it was sent."""


def put_object(
    store: ObjectStore, key: str, data: bytes | bytearray | Path, content_type: str, *, durable: bool = True
) -> None:
    """Store one object completely or not at all: by one PUT with a checksum, or by a temporary file and a rename.

    Only a `Path` may be uploaded in several parts, which become visible together.

    Args:
        durable: sync a local file, so that the object survives a loss of power once this returns. A receipt must
            not exist without its object.
    """
    options: dict[str, Any] = {} if isinstance(data, Path) else {"use_multipart": False}
    if not isinstance(store, LocalStore):
        options["attributes"] = {"Content-Type": content_type}
    for tries_left in reversed(range(TRIES)):
        try:
            store.put(key, data, **options)
            break
        except obstore.exceptions.BaseError as error:
            if not tries_left or not _DAMAGED.search(str(error)):
                raise
    folder = folder_of(store) if durable else None
    if folder is not None:
        with (folder / key).open("rb") as file:
            os.fsync(file.fileno())


def delete_objects(store: ObjectStore, keys: Sequence[str]) -> None:
    """Delete objects; keys without an object are ignored.

    S3's DeleteObjects is a POST, which the client does not retry when the connection breaks.
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
            return
        except obstore.exceptions.PermissionDeniedError:
            raise
        except obstore.exceptions.BaseError:
            if not tries_left:
                raise
            time.sleep(0.2 * (TRIES - tries_left))
