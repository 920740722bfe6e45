"""Receipts: the records of entries that are done, in the destination, from which everything is told afterwards.

A receipt is a record with its outcome, one JSON object a line. Each writer (one step of one run) puts its own
objects, `_relay/<dataset>/receipts/<run_id>/<writer>-<n>.jsonl`, so that parallel writers never share one. They
are put every few seconds: what a `kill -9` can lose is what was done since. Results, summaries and the next
run's knowledge of what is left are all folded from these objects.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.interrupts import shielded
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.stores import explain, folder_of, is_disk_full, put

if TYPE_CHECKING:
    from obstore import ObjectMeta

FLUSH_INTERVAL = 2.0
"""Seconds that a receipt waits at most before it is put."""

PIECE = 1024 * 1024
"""Bytes of receipts held in memory at once."""

MERGED = "merged.jsonl"
"""The name of the object that holds all receipts of a finished run."""

record_json = TypeAdapter(Record)
"""Records to and from JSON, fields in the order of `results.jsonl`."""


def relay_prefix(dataset: str) -> str:
    """Where imgrelay keeps its own objects of a dataset."""
    return f"_relay/{dataset}"


def run_receipts(dataset: str, run_id: str) -> str:
    """Prefix of one run's receipts."""
    return f"{relay_prefix(dataset)}/receipts/{run_id}"


class ReceiptWriter:
    """Gathers one step's receipts and puts them every `FLUSH_INTERVAL` seconds. Used from one thread.

    As a context manager it puts what is left on the way out, also when interrupted.
    """

    def __init__(
        self, store: ObjectStore, prefix: str, writer: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._base = f"{prefix}/{writer}"
        self._clock = clock
        self._lines: list[bytes] = []
        self._part = 0
        self._due = clock() + FLUSH_INTERVAL
        self.counts: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Take one ended record and count its outcome."""
        self.counts[record.outcome.value if record.outcome else ""] += 1
        self._lines.append(record_json.dump_json(record))

    def flush_if_due(self) -> None:
        """Put what was gathered if its time has come. A store that is away is asked again at the next turn."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + FLUSH_INTERVAL
        try:
            self.flush()
        except RelayError:
            return

    def flush(self) -> None:
        """Put what was gathered.

        Raises:
            RelayError: the store does not take it; the receipts are kept for another try.
        """
        if not self._lines:
            return
        key = f"{self._base}-{self._part}.jsonl"
        try:
            put(self._store, key, b"\n".join(self._lines) + b"\n", "application/x-ndjson")
        except (BaseError, OSError) as error:
            if is_disk_full(error):
                place = folder_of(self._store) or "its store"
                raise RelayError(
                    f"disk full: no space left for receipts in destination '{place}'; free some"
                ) from error
            raise RelayError(f"receipts cannot be written to {key!r}: {explain(error)}") from error
        self._lines.clear()
        self._part += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What ended the step is what its user is told of, not that its receipts cannot be put either.
        with shielded(), suppress(*(() if error is None else (RelayError,))):
            self.flush()


def read_receipts(store: ObjectStore, prefix: str) -> Iterator[Record]:
    """Every receipt below `prefix`, object by object, in no particular order; one may come twice.

    A line that cannot be read (cut off by a lost machine) is passed over: its entry counts as not done.
    """
    moved = set()
    for chunk in store.list(prefix):
        for meta in chunk:
            if not meta["path"].endswith(".jsonl"):
                continue
            try:
                yield from _records(store, meta)
            except FileNotFoundError:  # its run was completed since it was listed
                moved.add(meta["path"].rpartition("/")[0])
    for run in sorted(moved):
        with suppress(FileNotFoundError):
            yield from _records(store, store.head(f"{run}/{MERGED}"))


def _records(store: ObjectStore, meta: "ObjectMeta") -> Iterator[Record]:
    rest = b""
    for piece in pieces(store, meta):
        *lines, rest = (rest + piece).split(b"\n")
        yield from _sound(lines)
    yield from _sound([rest])


def _sound(lines: Iterable[bytes]) -> Iterator[Record]:
    for line in lines:
        with suppress(ValidationError):
            yield record_json.validate_json(line)


def pieces(store: ObjectStore, meta: "ObjectMeta") -> Iterator[bytes]:
    """An object in pieces: a run's merged receipts may weigh many megabytes."""
    for start in range(0, meta["size"], PIECE):
        yield bytes(store.get_range(meta["path"], start=start, end=min(start + PIECE, meta["size"])))


def merge_receipts(store: ObjectStore, prefix: str, scratch: Path) -> None:
    """Put one run's receipts together in one object, so that the next run has little to fetch.

    Killed half-way it leaves receipts twice, which says nothing else.
    """
    found = [meta for chunk in store.list(prefix) for meta in chunk if meta["path"].endswith(".jsonl")]
    if len(found) < 2:
        return
    merged = scratch / "receipts.jsonl"
    with merged.open("wb") as lines:
        for meta in found:
            piece = b""
            for piece in pieces(store, meta):
                lines.write(piece)
            if not piece.endswith(b"\n"):  # cut off by a lost machine
                lines.write(b"\n")
    store.put(f"{prefix}/{MERGED}", merged)
    store.delete([meta["path"] for meta in found if meta["path"] != f"{prefix}/{MERGED}"])


class ReceiptIndex:
    """Receipts by key or by line, on scratch disk, so that a hundred thousand of them cost no memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(path)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE receipt (id PRIMARY KEY, at REAL, record BLOB, stored INTEGER) WITHOUT ROWID;"
        )

    def add(self, identity: str | int, record: Record) -> None:
        """Keep a receipt under its key or line; the latest one stays."""
        self._db.execute(
            "INSERT INTO receipt (id, at, record) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET at = excluded.at, record = excluded.record WHERE excluded.at >= receipt.at",
            (identity, record.at or 0.0, record_json.dump_json(record)),
        )

    def get(self, identity: str | int) -> Record | None:
        """The latest receipt under this key or line."""
        row = self._db.execute("SELECT record FROM receipt WHERE id = ?", (identity,)).fetchone()
        return None if row is None else record_json.validate_json(row[0])

    def mark_stored(self, key: str, size: int) -> None:
        """Note that an object of `size` bytes was seen under this key."""
        self._db.execute("UPDATE receipt SET stored = ? WHERE id = ?", (size, key))

    def stored_size(self, key: str) -> int | None:
        """Bytes of the object seen under this key, or None where none was."""
        row = self._db.execute("SELECT stored FROM receipt WHERE id = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Drop the index and its file."""
        self._db.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
