"""How large the objects of a destination are, whatever the names of what others have put there.

Obstore gives up on a whole listing when one name in it has a control character, an empty part or is no UTF-8.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from obstore.exceptions import InvalidPathError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError


class Listed(NamedTuple):
    """An object in S3, by its path below the address that was listed; its size in bytes."""

    path: str
    size: int
    e_tag: str
    modified: datetime


def sizes(store: ObjectStore, list_any: Callable[[], Iterator[Listed]] | None) -> Iterator[tuple[str, int]]:
    """Each object's key and size in bytes, in no particular order; one may come twice.

    Args:
        list_any: lists the store whatever the names; None where nothing else can.

    Raises:
        RelayError: there is such a name, and nothing else lists the store.
    """
    try:
        for chunk in store.list():
            for meta in chunk:
                yield meta["path"], meta["size"]
    except InvalidPathError as error:
        if list_any is None:
            raise RelayError(
                "the destination cannot be listed, for a key in it has a control character or an empty part; remove "
                "that object, or leave out verify"
            ) from error
        for item in list_any():
            yield item.path, item.size


def size_in(folder: Path, key: str) -> int | None:
    """Bytes of the file under this key, or None where there is none."""
    try:
        return (folder / key).stat().st_size
    except OSError:
        return None
