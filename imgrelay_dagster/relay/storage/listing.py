"""Sizes of the objects in a destination, including objects of others whose keys obstore rejects.

obstore aborts a whole listing when one key in it has a control character or an empty segment, or is not UTF-8.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from obstore.exceptions import InvalidPathError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError


class ListedObject(NamedTuple):
    """An object of an S3 listing. `path` is its key below the listed address, `size` is in bytes."""

    path: str
    size: int
    e_tag: str
    modified: datetime


def object_sizes(
    store: ObjectStore, list_any: Callable[[], Iterator[ListedObject]] | None
) -> Iterator[tuple[str, int]]:
    """Each object's key and size in bytes, in no particular order. An object may be returned twice.

    Args:
        list_any: lists the store by another client, which accepts any key; None where there is no other client.

    Raises:
        RelayError: obstore rejects a key, and `list_any` is None.
    """
    try:
        for chunk in store.list():
            for meta in chunk:
                yield meta["path"], meta["size"]
    except InvalidPathError as error:
        if list_any is None:
            raise RelayError(
                "the destination cannot be listed because a key in it has a control character or an empty segment; "
                "remove that object, or leave out verify"
            ) from error
        for item in list_any():
            yield item.path, item.size


def file_size(folder: Path, key: str) -> int | None:
    """Size in bytes of the file under `key`; None where there is no file."""
    try:
        return (folder / key).stat().st_size
    except OSError:
        return None
