"""Reading large objects in pieces, also from stores that ignore the range of a request and send the whole object."""

from collections.abc import Iterator
from typing import IO

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.storage.scratch_files import open_scratch_file, scratch_errors

CHUNK_SIZE = 1024 * 1024
"""Bytes of an object that are read at once."""

_RANGE_IGNORED = "non-partial response"
"""In obstore's error where a store answers 200 to a request for a range."""


def read_chunks(store: ObjectStore, key: str, size: int) -> Iterator[bytes]:
    """An object's bytes, at most `CHUNK_SIZE` at a time.

    A large object is read by requests for ranges, because one request for all of it would have to end within the
    store's time limit, however slowly its bytes are used.

    Args:
        size: the object's size in bytes, from a listing or a HEAD request.
    """
    if size <= CHUNK_SIZE:
        if size:
            yield bytes(store.get(key).bytes())
        return
    for start in range(0, size, CHUNK_SIZE):
        try:
            yield bytes(store.get_range(key, start=start, end=min(start + CHUNK_SIZE, size)))
        except BaseError as error:
            if start or _RANGE_IGNORED not in str(error):
                raise
            with spool(store, key) as file:
                while chunk := file.read(CHUNK_SIZE):
                    yield chunk
            return


def spool(store: ObjectStore, key: str) -> IO[bytes]:
    """The whole object in a temporary file, positioned at its beginning; the caller closes it."""
    file = open_scratch_file()
    try:
        for chunk in store.get(key).stream(min_chunk_size=CHUNK_SIZE):
            with scratch_errors():
                file.write(chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


class ObjectStream:
    """A readable stream of an object's bytes; only `read(size)` is offered."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._chunks = read_chunks(store, key, store.head(key)["size"])
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data
