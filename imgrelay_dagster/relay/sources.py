"""Opening a manifest where it lies: a local file or an object in a store."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest import Row, read_manifest
from imgrelay_dagster.relay.stores import explain, is_remote, split_object_address


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
            with Path(address).open("rb") as file:
                yield from read_manifest(file, address)
    except FileNotFoundError as error:
        raise RelayError(f"manifest {address!r} does not exist; check the path or the bucket") from error
    except (BaseError, OSError) as error:
        raise RelayError(f"manifest {address!r} cannot be read: {explain(error)}") from error
