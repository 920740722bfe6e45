"""Which keys a dataset has stored, as a small object that other datasets of the destination read when they plan.

`keys.bin` has 12 bytes for each key, sorted: 8 of the key's hash, 4 of the entry's fingerprint. So a dataset of 10,000
images costs the others a request for 120 kB, where its receipts have megabytes.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from obstore.store import ObjectStore

from imgrelay_dagster.relay.concurrency.thread_pool import work_through
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.records.dataset_names import stored_datasets
from imgrelay_dagster.relay.records.layout import key_index_key
from imgrelay_dagster.relay.storage.objects import put_object
from imgrelay_dagster.relay.storage.reading import read_chunks
from imgrelay_dagster.relay.storage.scratch_files import scratch_folder

KEY_BYTES, FINGERPRINT_BYTES = 8, 4
ENTRY_BYTES = KEY_BYTES + FINGERPRINT_BYTES

MOST_BYTES = 24_000_000
"""Bytes of the indexes that planning reads, of all other datasets together: two million keys."""

READING_THREADS = 16

BATCH = 500
"""Changes that are written to the temporary database at once."""


class StoredKeys:
    """Collects changes of a dataset's index in a temporary SQLite database at `path`. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[tuple[bytes, bytes]] = []
        self._db = sqlite3.connect(path)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE stored (key BLOB PRIMARY KEY, fingerprint BLOB) WITHOUT ROWID;"
        )

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass records on, and remember the keys of stored images."""
        for record in records:
            if record.outcome in (Outcome.UPLOADED, Outcome.UNCHANGED) and record.key and record.fingerprint:
                self._set(hash_key(record.key), hash_fingerprint(record.fingerprint))
            yield record

    def remove(self, keys: Iterable[str]) -> None:
        """Remember that the images under these keys were deleted."""
        for key in keys:
            self._set(hash_key(key), b"")

    def _set(self, key: bytes, fingerprint: bytes) -> None:
        self._waiting.append((key, fingerprint))
        if len(self._waiting) == BATCH:
            self._write_waiting()

    def _write_waiting(self) -> None:
        self._db.executemany("INSERT OR REPLACE INTO stored VALUES (?, ?)", self._waiting)
        self._waiting.clear()

    def write(self, store: ObjectStore, dataset: str) -> None:
        """Change the dataset's index; the caller holds the dataset's lock. Nothing is written if nothing changes."""
        self._write_waiting()
        old = hashlib.sha256()
        for chunk in _read_index(store, dataset):
            old.update(chunk)
            self._db.executemany("INSERT OR IGNORE INTO stored VALUES (?, ?)", _entries(chunk))
        new, changed = hashlib.sha256(), self._path.with_suffix(".bin")
        with changed.open("wb") as file:
            for key, fingerprint in self._db.execute("SELECT key, fingerprint FROM stored ORDER BY key"):
                if fingerprint:
                    file.write(key + fingerprint)
                    new.update(key + fingerprint)
        if new.digest() != old.digest():
            put_object(store, key_index_key(dataset), changed, "application/octet-stream")
        changed.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        self._path.unlink(missing_ok=True)


def hash_key(key: str) -> bytes:
    """The part of an entry that stands for its key."""
    return hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=KEY_BYTES).digest()


def hash_fingerprint(fingerprint: str) -> bytes:
    """The part of an entry that stands for its fingerprint."""
    return bytes.fromhex(fingerprint)[:FINGERPRINT_BYTES].ljust(FINGERPRINT_BYTES, b"\0")


def remove_keys(store: ObjectStore, dataset: str, keys: Iterable[str]) -> None:
    """Remove keys from a dataset's index, because their images were deleted."""
    with scratch_folder() as folder, StoredKeys(folder / "keys.db") as stored:
        stored.remove(keys)
        stored.write(store, dataset)


def _read_index(store: ObjectStore, dataset: str) -> Iterator[bytes]:
    """A dataset's index, in pieces of whole entries."""
    key, rest = key_index_key(dataset), b""
    with suppress(FileNotFoundError):
        for chunk in read_chunks(store, key, store.head(key)["size"]):
            rest += chunk
            whole = len(rest) - len(rest) % ENTRY_BYTES
            yield rest[:whole]
            rest = rest[whole:]


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for at in range(0, len(data), ENTRY_BYTES):
        yield data[at : at + KEY_BYTES], data[at + KEY_BYTES : at + ENTRY_BYTES]


class OtherDatasets:
    """The keys of a destination's other datasets, in a temporary SQLite database at `path`. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []
        self._db = sqlite3.connect(path)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE stored (key BLOB, fingerprint BLOB, dataset INTEGER, PRIMARY KEY (key, fingerprint))"
            " WITHOUT ROWID;"
        )

    def load(self, store: ObjectStore, dataset: str, is_related: Callable[[str], bool] = lambda _: False) -> int:
        """Read the indexes of the other datasets; return how many were left out because they are too large together.

        Args:
            is_related: whether another dataset may replace this one's images, and the other way round.

        Raises:
            RelayError: the destination cannot be read.
        """
        others = [name for name in stored_datasets(store) if name != dataset and not is_related(name)]
        read = work_through(
            others,
            lambda name: (name, b"".join(_read_index(store, name))),
            threads=READING_THREADS,
            stop=threading.Event(),
            crashed=lambda name, _: (name, b""),
        )
        total, skipped = 0, 0
        for name, data in read:
            total += len(data)
            if total > MOST_BYTES:
                skipped += 1
                continue
            self._add(name, data)
        return skipped

    def _add(self, name: str, data: bytes) -> None:
        number = len(self._names)
        self._names.append(name)
        rows = ((key, fingerprint, number) for key, fingerprint in _entries(data))
        self._db.executemany("INSERT OR IGNORE INTO stored VALUES (?, ?, ?)", rows)

    def owner(self, key: str, fingerprint: str) -> str | None:
        """The dataset that stored another image under this key; None if none did."""
        if not self._names:
            return None
        row = self._db.execute(
            "SELECT dataset FROM stored WHERE key = ? AND fingerprint != ? LIMIT 1",
            (hash_key(key), hash_fingerprint(fingerprint)),
        ).fetchone()
        return None if row is None else self._names[row[0]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        self._path.unlink(missing_ok=True)
