"""Packs: objects in staging that hold the bytes of many entries each.

An object for each entry would cost more than laying the template over a small image: on a disk a file to create and to
delete, on S3 two requests. So the threads of a step fill one pack after the other, and a `PackLocation` says where an
entry's bytes are. A pack is written by one request, when it is full or the step ends. A step that is interrupted leaves
no incomplete pack, and a step that is retried writes packs of its own.
"""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import BinaryIO, Self

from imgrelay_dagster.relay.concurrency.background import call_in_background
from imgrelay_dagster.relay.concurrency.signals import ignore_interrupts
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.staging.originals import trailer
from imgrelay_dagster.relay.staging.pack_journal import SUFFIX, PackJournal
from imgrelay_dagster.relay.staging.pack_location import PackLocation
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import Task

PACK_SIZE = 2 * 1024 * 1024
"""Bytes at which a pack is full. A step's memory holds the pack it fills, those being written, and `CACHED_PACKS`."""

PARALLEL_WRITES = 2
"""Full packs being written at the same time. If staging is slower than that, the step's threads wait."""

MAX_PACKED_ENTRY = 1024 * 1024
"""Bytes of the largest entry that goes into a pack. A larger one is written to an object of its own as it arrives."""

_FinishedPack = tuple[str, bytearray, PackJournal | None]
"""Key, content and journal of a pack."""

CACHED_PACKS = 2
"""Packs that a step keeps in memory while it reads: some threads still read one pack when others start the next."""


class PackWriter:
    """Writes the bytes that one step produces for a task's entries. A context manager, shared by the step's threads.

    Args:
        tick: called several times a second while the last pack is written; an exception that it raises ends the wait.
        digests: the URL digest of each entry, if the packs are to be kept should the step be interrupted. Each object
            then ends with a trailer (`originals.py`), an interrupted step also writes the pack that it fills, and in a
            local folder that pack has a journal (`pack_journal.py`).

    Attributes:
        locations: the location of each entry by its number, in the order of the packs. Complete after the context
        has ended.

    Raises:
        RelayError: from any call, when the store fails.
    """

    def __init__(
        self,
        staging: Staging,
        task: str,
        stage: Stage,
        tick: Callable[[], None] = lambda: None,
        digests: Mapping[int, str] | None = None,
    ) -> None:
        self.locations: dict[int, PackLocation] = {}
        self._staging = staging
        self._digests = digests
        self._task, self._stage, self._tick = task, stage, tick
        self._lock = threading.Lock()
        self._writes = threading.Semaphore(PARALLEL_WRITES)
        self._start_pack()

    def _start_pack(self) -> None:
        self._key, self._pack = self._new_key(), bytearray()
        self._packed: dict[int, tuple[int, int]] = {}
        path = None if self._digests is None else self._staging.local_path(f"{self._key}{SUFFIX}")
        self._journal = None if path is None else PackJournal(path)

    def _new_key(self) -> str:
        return self._staging.key(self._task, self._stage, uuid.uuid4().hex)

    def add(self, entry: int, data: bytes) -> None:
        """Add an entry's bytes."""
        if len(data) > MAX_PACKED_ENTRY:
            key = self._new_key()
            self._staging.put(key, data + self._trailer({entry: (0, len(data))}))
            self.set_location(entry, PackLocation(key, 0, len(data), whole_object=True))
            return
        full: _FinishedPack | None = None
        with self._lock:
            self.locations[entry] = PackLocation(self._key, len(self._pack), len(data))
            self._packed[entry] = len(self._pack), len(data)
            self._pack += data
            if self._journal is not None and self._digests is not None:
                self._journal.add(self._digests[entry], data)
            if len(self._pack) >= PACK_SIZE:
                self._writes.acquire()
                full = self._finish_pack()
        if full is not None:
            try:
                self._store(full)
            finally:
                self._writes.release()

    @contextmanager
    def open_entry(self, entry: int) -> Iterator["EntryBuffer"]:
        """Open a stream for an entry's bytes as they arrive. An exception in the context discards what was written."""
        key = ""
        with ExitStack() as exits:

            def open_own_object() -> BinaryIO:
                nonlocal key
                key = self._new_key()
                return exits.enter_context(self._staging.open_writer(key))

            buffer = EntryBuffer(open_own_object)
            yield buffer
            if buffer.has_own_object:
                buffer.finish(self._trailer({entry: (0, buffer.size)}))
        if buffer.has_own_object:
            self.set_location(entry, PackLocation(key, 0, buffer.size, whole_object=True))
        else:
            self.add(entry, b"".join(buffer.chunks))

    def _trailer(self, entries: Mapping[int, tuple[int, int]]) -> bytes:
        digests = self._digests
        return b"" if digests is None else trailer({digests[entry]: place for entry, place in entries.items()})

    def _finish_pack(self) -> _FinishedPack:
        finished = self._key, self._pack + self._trailer(self._packed), self._journal
        self._start_pack()
        return finished

    def _store(self, pack: _FinishedPack) -> None:
        key, data, journal = pack
        self._staging.put(key, data)
        if journal is not None:
            journal.delete()

    def set_location(self, entry: int, location: PackLocation) -> None:
        """Set the location of an entry whose bytes are in staging already."""
        with self._lock:
            self.locations[entry] = location

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._pack:
            return
        if error is None:
            last = self._finish_pack()
            call_in_background(lambda _: self._store(last), self._tick)
        elif self._digests is not None:
            with ignore_interrupts(), suppress(RelayError), self._lock:
                self._store(self._finish_pack())


class EntryBuffer:
    """A stream for one entry's bytes: held in memory up to `MAX_PACKED_ENTRY`, then written to an object of its own.

    Args:
        open_object: opens that object.

    Attributes:
        size: bytes written so far.
        chunks: the bytes in memory; empty once the entry has its own object.
    """

    def __init__(self, open_object: Callable[[], BinaryIO]) -> None:
        self.size = 0
        self.chunks: list[bytes] = []
        self._open_object = open_object
        self._object: BinaryIO | None = None

    @property
    def has_own_object(self) -> bool:
        """Whether the entry was too large for a pack."""
        return self._object is not None

    def finish(self, end: bytes) -> None:
        """Write the end of the entry's own object, which does not belong to the entry."""
        if self._object is not None and end:
            self._object.write(end)

    def write(self, data: bytes, /) -> None:
        """Append bytes."""
        self.size += len(data)
        self.chunks.append(data)
        if self._object is None and self.size > MAX_PACKED_ENTRY:
            self._object = self._open_object()
        if self._object is not None:
            for chunk in self.chunks:
                self._object.write(chunk)
            self.chunks.clear()


class PackReader:
    """Reads what the last step wrote for a task's entries, a pack at a time. All threads of a step share it."""

    def __init__(self, staging: Staging, task: Task) -> None:
        self._staging = staging
        self._task, self._locations = task, task.locations
        self._cache: OrderedDict[str, memoryview] = OrderedDict()
        self._lock = threading.Lock()

    def task_in_pack_order(self) -> Task:
        """The task with its records in the order of their bytes in the packs, so that no pack is read twice."""
        order = {entry: number for number, entry in enumerate(self._locations)}
        return replace(self._task, records=tuple(sorted(self._task.records, key=lambda record: order[record.entry])))

    def size(self, entry: int) -> int:
        """The number of an entry's bytes."""
        return self._locations[entry].size

    def read(self, entry: int) -> bytes:
        """An entry's bytes.

        Raises:
            RelayError: the store failed.
        """
        location = self._locations[entry]
        if location.whole_object:
            return bytes(self._staging.get(location.key)[: location.size])
        with self._lock:
            pack = self._cache.get(location.key)
            if pack is None:
                pack = self._cache[location.key] = self._staging.get(location.key)
                while len(self._cache) > CACHED_PACKS:
                    self._cache.popitem(last=False)
        return bytes(pack[location.start : location.start + location.size])
