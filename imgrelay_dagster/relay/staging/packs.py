"""Packs: what a step leaves in staging for the next one, many entries to an object.

An object of its own for each entry would cost more than laying the template over a small picture does: on a disk a file
to make and to remove, on S3 two requests. So a step's threads fill one pack after the other, and `Place` says where an
entry's bytes lie. A pack is put whole, by one call, when it is full or the step is through: a step that is broken off
leaves no half of one, and one that is tried again makes packs of its own.
"""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import BinaryIO, Self

from imgrelay_dagster.relay.concurrency.background import in_background
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.staging.scratch_space import PackLocation, Staging
from imgrelay_dagster.relay.staging.tasks import Task

FULL = 2 * 1024 * 1024
"""Bytes at which a pack is put. A step holds one in memory while it fills, those being put, and `HELD` of its input."""

AT_ONCE = 2
"""Packs being put at a time. When staging is too slow for that, a step's threads wait."""

ALONE = 1024 * 1024
"""Bytes beyond which an entry gets an object of its own, and until which its body is gathered in memory."""

HELD = 2
"""Packs that a reading step keeps: its threads are at the end of one when the first of them begins the next."""


class PackWriter:
    """What one step makes of a task's entries; a context manager that all threads of the step share.

    Args:
        tick: called now and then while the last pack is put; what it raises ends the wait.

    Attributes:
        places: by line, where to find what was added, in the order of the packs. To be read afterwards.

    Raises:
        RelayError: from any call, when the store fails.
    """

    def __init__(self, staging: Staging, task: str, stage: Stage, tick: Callable[[], None] = lambda: None) -> None:
        self.places: dict[int, PackLocation] = {}
        self._staging = staging
        self._task, self._stage, self._tick = task, stage, tick
        self._lock = threading.Lock()
        self._puts = threading.Semaphore(AT_ONCE)
        self._begin()

    def _begin(self) -> None:
        self._key, self._pack = self._new_key(), bytearray()

    def _new_key(self) -> str:
        return self._staging.key(self._task, self._stage, uuid.uuid4().hex)

    def add(self, line: int, data: bytes) -> None:
        """Keep an entry's bytes."""
        if len(data) > ALONE:
            key = self._new_key()
            self._staging.put(key, data)
            self._note(line, PackLocation(key, 0, len(data), alone=True))
            return
        full: tuple[str, bytearray] | None = None
        with self._lock:
            self.places[line] = PackLocation(self._key, len(self._pack), len(data))
            self._pack += data
            if len(self._pack) >= FULL:
                self._puts.acquire()
                full = self._key, self._pack
                self._begin()
        if full is not None:
            try:
                self._staging.put(*full)
            finally:
                self._puts.release()

    @contextmanager
    def body(self, line: int) -> Iterator["EntryBuffer"]:
        """A stream for an entry's bytes, as they come in. Leaving by an exception drops what was written."""
        key = self._new_key()
        with ExitStack() as writing:
            body = EntryBuffer(lambda: writing.enter_context(self._staging.writer(key)))
            yield body
        if body.is_alone:
            self._note(line, PackLocation(key, 0, body.size, alone=True))
        else:
            self.add(line, b"".join(body.pieces))

    def _note(self, line: int, place: PackLocation) -> None:
        with self._lock:
            self.places[line] = place

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._pack:
            in_background(lambda _: self._staging.put(self._key, self._pack), self._tick)


class EntryBuffer:
    """One entry's bytes, as they come in.

    Args:
        alone: opens an object of their own.
    """

    def __init__(self, alone: Callable[[], BinaryIO]) -> None:
        self.size = 0
        self.pieces: list[bytes] = []
        self._alone = alone
        self._own: BinaryIO | None = None

    @property
    def is_alone(self) -> bool:
        """Whether they went into an object of their own; `pieces` is empty then."""
        return self._own is not None

    def write(self, data: bytes, /) -> None:
        """Take some more."""
        self.size += len(data)
        self.pieces.append(data)
        if self._own is None and self.size > ALONE:
            self._own = self._alone()
        if self._own is not None:
            for piece in self.pieces:
                self._own.write(piece)
            self.pieces.clear()


class PackReader:
    """Reads what the last step left of a task's entries, for all threads of a step: a pack at a time."""

    def __init__(self, staging: Staging, task: Task) -> None:
        self._staging = staging
        self._task, self._places = task, task.places
        self._held: OrderedDict[str, memoryview] = OrderedDict()
        self._lock = threading.Lock()

    def in_order(self) -> Task:
        """The task with its records in the order in which their bytes lie, so that no pack is read twice."""
        order = {line: number for number, line in enumerate(self._places)}
        return replace(self._task, records=tuple(sorted(self._task.records, key=lambda record: order[record.line])))

    def read(self, line: int) -> bytes:
        """An entry's bytes.

        Raises:
            RelayError: the store fails.
        """
        place = self._places[line]
        if place.alone:
            return bytes(self._staging.get(place.key))
        with self._lock:
            pack = self._held.get(place.key)
            if pack is None:
                pack = self._held[place.key] = self._staging.get(place.key)
                while len(self._held) > HELD:
                    self._held.popitem(last=False)
        return bytes(pack[place.start : place.start + place.size])
