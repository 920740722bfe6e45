"""Scratch space between the stages of one run.

What a stage makes of a task lies below `<run_id>/<task>/<stage>/`, in packs (`packs.py`), until the next stage but one
begins: compose leaves the sources where they are and upload removes them, so that a stage that is killed and tried
again finds its input.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.concurrency.thread_pool import work_through
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.storage.stores import delete_objects, explain, folder_of, is_disk_full, put_object

BUFFER = 5 * 1024 * 1024
"""Bytes of a body kept in memory before the store is given them: S3's smallest part of a multipart upload."""


READERS = 16
"""Notes of one run that are read at once."""


@dataclass(frozen=True, slots=True)
class PackLocation:
    """Where an entry's bytes lie in staging: `size` bytes of an object, from `start` on; `alone` is all of it."""

    key: str
    start: int
    size: int
    alone: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        return PackLocation, (self.key, self.start, self.size, self.alone)


class Staging:
    """The scratch space of one run in a store (a local folder, or S3 when steps run on several hosts).

    Raises:
        RelayError: from any call, when the store fails: without scratch space no entry can go on.
    """

    def __init__(self, store: ObjectStore, run_id: str, notes: ObjectStore | None = None) -> None:
        """`notes` is the same store with short limits: for what is written and read on the side."""
        self._store = store
        self._notes = notes or store
        self._run_id = run_id

    def key(self, task: str, stage: Stage, name: str) -> str:
        """Where an object of a stage's lies."""
        return f"{self._run_id}/{task}/{stage.value}/{name}"

    @contextmanager
    def writer(self, key: str) -> Iterator[BinaryIO]:
        """A stream into an object, which is there once it ends. Leaving by an exception abandons what was written."""
        with self._troubles(key):
            stream = obstore.open_writer(self._store, key, buffer_size=BUFFER)
        yield cast(BinaryIO, _Guarded(stream, self, key))
        with self._troubles(key):
            stream.close()

    def put(self, key: str, data: bytes | bytearray) -> None:
        """Keep an object."""
        with self._troubles(key):
            put_object(self._store, key, data, "application/octet-stream", lasting=False)

    def get(self, key: str) -> memoryview:
        """An object's bytes."""
        with self._troubles(key):
            return memoryview(self._store.get(key).bytes())

    def put_note(self, name: str, data: bytes) -> None:
        """Keep a small object for whoever watches the run; a later one of the same name replaces it."""
        key = f"{self._run_id}/notes/{name}"
        with self._troubles(key):
            self._notes.put(key, data, use_multipart=False)

    def note(self, name: str) -> bytes | None:
        """What `put_note` kept under this name."""
        return self._read_note(f"{self._run_id}/notes/{name}")

    def claim(self, name: str) -> bool:
        """Whether this is the first to claim `name` in this run. Where the store cannot tell, nobody is."""
        with suppress(BaseError, OSError):
            self._notes.put(f"{self._run_id}/claims/{name}", b"", mode="create", use_multipart=False)
            return True
        return False

    def notes(self) -> list[bytes]:
        """What `put_note` kept, in no particular order; what vanishes meanwhile is passed over.

        A run of 100,000 entries has a thousand of them or more, and S3 may take 30 ms for each: many are read at once.
        """
        with self._troubles("notes"):
            keys = [meta["path"] for chunk in self._notes.list(f"{self._run_id}/notes") for meta in chunk]
        found = work_through(keys, self._read_note, threads=READERS, stop=threading.Event(), crashed=lambda *_: None)
        return [data for data in found if data is not None]

    def _read_note(self, key: str) -> bytes | None:
        with self._troubles(key), suppress(FileNotFoundError):
            return bytes(self._notes.get(key).bytes())
        return None

    def clear_stage(self, task: str, stage: Stage) -> None:
        """Remove what a stage left of a task."""
        self._remove(f"{self._run_id}/{task}/{stage.value}")

    def clear(self) -> None:
        """Remove everything of this run."""
        self._remove(self._run_id)

    def _remove(self, prefix: str) -> None:
        folder = folder_of(self._store)
        if folder is not None:
            shutil.rmtree(folder / prefix, ignore_errors=True)
            return
        with self._troubles(prefix):
            for chunk in self._store.list(prefix):
                delete_objects(self._store, [meta["path"] for meta in chunk])

    @contextmanager
    def _troubles(self, key: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise self.trouble(key, error) from error

    def trouble(self, key: str, error: BaseException) -> RelayError:
        """A store's error in words that name the place and the way out."""
        place = folder_of(self._store) or self._store
        if is_disk_full(error):
            return RelayError(f"disk full: no space left in staging ({place}); free some or set IMGRELAY_STAGING")
        return RelayError(f"staging ({place}) failed at {key!r}: {explain(error)}")


class _Guarded:
    """A writable stream whose errors say that staging failed, apart from errors of who writes to it."""

    def __init__(self, stream: "obstore.WritableFile", staging: Staging, key: str) -> None:
        self._stream = stream
        self._staging = staging
        self._key = key

    def write(self, data: bytes) -> int:
        try:
            return self._stream.write(data)
        except (BaseError, OSError) as error:
            raise self._staging.trouble(self._key, error) from error
