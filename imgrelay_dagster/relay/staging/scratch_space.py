"""Scratch space for the bytes that the stages of one run pass to each other.

A stage writes its results for a task below `<run_id>/<task>/<stage>/`, in packs (`packs.py`). The input of a stage is
deleted by the stage after it: compose leaves the downloaded images, and upload deletes them. So a stage that is killed
and retried still finds its input.
"""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.concurrency.running_clock import call_again_after_pause
from imgrelay_dagster.relay.concurrency.thread_pool import work_through
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.staging.originals import KeptOriginals, OriginalsOfTask
from imgrelay_dagster.relay.staging.pack_journal import close_journals, read_downloads
from imgrelay_dagster.relay.staging.pack_location import PackLocation
from imgrelay_dagster.relay.storage.error_hints import setting_advice
from imgrelay_dagster.relay.storage.error_text import explain, is_disk_full
from imgrelay_dagster.relay.storage.objects import delete_objects, put_object
from imgrelay_dagster.relay.storage.stores import folder_of

WRITE_BUFFER = 5 * 1024 * 1024
"""Bytes that a stream buffers before it writes them to the store: the minimum part size of S3's multipart uploads."""

ORIGINALS_NOTE = "originals"
"""The note with the index of the kept downloads."""

NOTE_READERS = 16
"""Threads that read the notes of a run."""


class Staging:
    """The scratch space of one run in a store: a local folder, or S3 if steps run on several hosts.

    Args:
        store: the store, for bytes of images.
        notes_store: the same store with short time limits, for notes and claims; `store` if None.
        kept: the downloads that are kept when a run is interrupted; None keeps none. Only for a local folder.

    Raises:
        RelayError: from any call but `claim`, when the store fails: without scratch space no entry can be relayed.
    """

    def __init__(
        self,
        store: ObjectStore,
        run_id: str,
        notes_store: ObjectStore | None = None,
        kept: KeptOriginals | None = None,
    ) -> None:
        self._store = store
        self._folder = folder_of(store)
        self._kept = kept if self._folder is not None else None
        self._notes_store = notes_store or store
        self._run_id = run_id

    def key(self, task: str, stage: Stage, name: str) -> str:
        """The key of an object that a stage writes for a task."""
        return f"{self._run_id}/{task}/{stage.value}/{name}"

    @contextmanager
    def open_writer(self, key: str) -> Iterator[BinaryIO]:
        """Open a stream into a new object, which exists once the context ends without an exception."""
        with self._wrap_errors(key):
            stream = obstore.open_writer(self._store, key, buffer_size=WRITE_BUFFER)
        yield cast(BinaryIO, _Writer(stream, self, key))
        with self._wrap_errors(key):
            stream.close()

    def put(self, key: str, data: bytes | bytearray) -> None:
        """Write an object."""
        with self._wrap_errors(key):
            put_object(self._store, key, data, "application/octet-stream", durable=False)

    def get(self, key: str) -> memoryview:
        """Read an object."""
        with self._wrap_errors(key):
            return memoryview(call_again_after_pause(lambda: self._store.get(key).bytes(), BaseError))

    def local_path(self, key: str) -> Path | None:
        """The path of an object in a local folder; None in any other store."""
        return None if self._folder is None else self._folder / key

    def left_downloads(self, task: str) -> dict[str, PackLocation]:
        """What an earlier start of a task's download step has left in a local folder, by URL digest."""
        prefix = f"{self._run_id}/{task}/{Stage.DOWNLOAD.value}"
        return {} if self._folder is None else read_downloads(self._folder / prefix, prefix)

    def put_note(self, name: str, data: bytes) -> None:
        """Write a note, a small object about the run's progress; it replaces an earlier note of the same name."""
        key = f"{self._run_id}/notes/{name}"
        with self._wrap_errors(key):
            self._notes_store.put(key, data, use_multipart=False)

    def read_note(self, name: str) -> bytes | None:
        """The note of this name, if there is one."""
        return self._read_note(f"{self._run_id}/notes/{name}")

    def read_notes(self) -> list[bytes]:
        """All notes of the run, in no particular order; notes that are deleted during the call are left out.

        A run of 100,000 entries has over a thousand notes, and S3 may take 30 ms for each, so threads read them.
        """
        with self._wrap_errors("notes"):
            keys = [meta["path"] for chunk in self._notes_store.list(f"{self._run_id}/notes") for meta in chunk]
        found = work_through(
            keys, self._read_note, threads=NOTE_READERS, stop=threading.Event(), crashed=lambda *_: None
        )
        return [data for data in found if data is not None]

    def _read_note(self, key: str) -> bytes | None:
        with self._wrap_errors(key), suppress(FileNotFoundError):
            return bytes(self._notes_store.get(key).bytes())
        return None

    def claim(self, name: str) -> bool:
        """Whether this call is the first in the run to claim `name`; False if the store fails."""
        with suppress(BaseError, OSError):
            self._notes_store.put(f"{self._run_id}/claims/{name}", b"", mode="create", use_multipart=False)
            return True
        return False

    @property
    def keeps_originals(self) -> bool:
        """Whether downloads are kept when a run is interrupted."""
        return self._kept is not None

    def keep_originals(self, dataset: str, task: str | None = None) -> None:
        """Keep the downloads of one task, or of all tasks of the run, for the next run of the dataset."""
        if self._kept is None or self._folder is None:
            return
        run_folder = self._folder / self._run_id
        with suppress(OSError):
            tasks = [run_folder / task] if task is not None else list(run_folder.iterdir())
            for folder in tasks:
                close_journals(folder / Stage.DOWNLOAD.value)
            self._kept.keep(dataset, tasks)

    def forget_originals(self, dataset: str) -> None:
        """Delete the kept downloads of a dataset."""
        if self._kept is not None:
            self._kept.forget(dataset)

    def note_originals(self, dataset: str) -> int:
        """Write the note from which `originals_of` reads which downloads are kept; returns their number."""
        index = self._kept.index(dataset) if self._kept is not None else {}
        if index:
            self.put_note(ORIGINALS_NOTE, json.dumps(index).encode())
        return len(index)

    def originals_of(self, dataset: str, task: str) -> OriginalsOfTask | None:
        """The kept downloads for one task; None if there are none."""
        note = self.read_note(ORIGINALS_NOTE) if self._kept is not None else None
        if note is None or self._kept is None or self._folder is None:
            return None
        prefix = f"{self._run_id}/{task}/{Stage.DOWNLOAD.value}"
        return OriginalsOfTask(self._kept, dataset, json.loads(note), self._folder / prefix, prefix)

    def delete_claims(self, names: list[str]) -> None:
        """Delete claims that nobody needs any more."""
        with self._wrap_errors("claims"):
            delete_objects(self._notes_store, [f"{self._run_id}/claims/{name}" for name in names])

    @property
    def is_local(self) -> bool:
        """Whether this is a folder of this host."""
        return folder_of(self._store) is not None

    def put_host(self, name: str, data: bytes) -> None:
        """Write what is known about a host; it replaces what was known before."""
        key = f"{self._run_id}/hosts/{name}"
        with self._wrap_errors(key):
            self._notes_store.put(key, data, use_multipart=False)

    def list_hosts(self) -> list[tuple[str, object]]:
        """The keys of what is known about hosts, each with a version that changes when it is written again."""
        with self._wrap_errors("hosts"):
            metas = [meta for chunk in self._notes_store.list(f"{self._run_id}/hosts") for meta in chunk]
        return [(meta["path"], (meta["last_modified"], meta["e_tag"], meta["size"])) for meta in metas]

    def read_host(self, key: str) -> bytes | None:
        """What is known about a host, by a key from `list_hosts`."""
        return self._read_note(key)

    def clear_stage(self, task: str, stage: Stage) -> None:
        """Delete what a stage wrote for a task."""
        self._delete(f"{self._run_id}/{task}/{stage.value}")

    def clear(self) -> None:
        """Delete everything of this run."""
        self._delete(self._run_id)

    def _delete(self, prefix: str) -> None:
        folder = folder_of(self._store)
        if folder is not None:
            shutil.rmtree(folder / prefix, ignore_errors=True)
            return
        with self._wrap_errors(prefix):
            for chunk in self._store.list(prefix):
                delete_objects(self._store, [meta["path"] for meta in chunk])

    @contextmanager
    def _wrap_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise self.relay_error(key, error) from error

    def relay_error(self, key: str, error: BaseException) -> RelayError:
        """The error to raise for a store's error: it names the place and the solution."""
        place = folder_of(self._store) or self._store
        if is_disk_full(error):
            return RelayError(f"disk full: no space left in staging ({place}); free some space or set IMGRELAY_STAGING")
        hint = setting_advice(error)
        return RelayError(f"staging ({place}) failed at {key!r}: {explain(error)}{f'; {hint}' if hint else ''}")


class _Writer:
    """A writable stream that converts errors of the store to `RelayError`; other errors pass through unchanged."""

    def __init__(self, stream: "obstore.WritableFile", staging: Staging, key: str) -> None:
        self._stream = stream
        self._staging = staging
        self._key = key

    def write(self, data: bytes) -> int:
        try:
            return self._stream.write(data)
        except (BaseError, OSError) as error:
            raise self._staging.relay_error(self._key, error) from error
