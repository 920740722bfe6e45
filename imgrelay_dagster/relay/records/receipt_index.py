"""An index of receipts on disk, so that planning a hundred thousand entries does not hold them in memory."""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.receipts import record_json

BATCH = 500
"""Receipts that are written to the database at once."""


class ReceiptIndex:
    """Receipts by key or by line number, in a temporary SQLite database at `path`. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._empty = True
        self._waiting: list[tuple[str | int, float, bytes, str | None]] = []
        self._db = sqlite3.connect(path)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE receipt (id PRIMARY KEY, at REAL, record BLOB, stored INTEGER, key TEXT) WITHOUT ROWID;"
            "CREATE INDEX other_key ON receipt (key) WHERE key IS NOT NULL;"
        )

    def add(self, identity: str | int, record: Record, line: bytes | None = None) -> None:
        """Store a receipt under its key or line number, unless the one there is newer.

        Args:
            line: the receipt as JSON, if it is known.
        """
        self._empty = False
        other_key = record.key if record.planned_key is not None else None
        self._waiting.append((identity, record.at or 0.0, line or record_json.dump_json(record), other_key))
        if len(self._waiting) == BATCH:
            self._write()

    def _write(self) -> None:
        self._db.executemany(
            "INSERT INTO receipt (id, at, record, key) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "at = excluded.at, record = excluded.record, key = excluded.key WHERE excluded.at >= receipt.at",
            self._waiting,
        )
        self._waiting.clear()

    def get(self, identity: str | int) -> Record | None:
        """The newest receipt under this key or line number, if there is one."""
        if self._empty:
            return None
        if self._waiting:
            self._write()
        row = self._db.execute("SELECT record FROM receipt WHERE id = ?", (identity,)).fetchone()
        return None if row is None else record_json.validate_json(row[0])

    def mark_stored(self, key: str, size: int) -> None:
        """Record that the destination has an object of `size` bytes under this key."""
        if self._waiting:
            self._write()
        self._db.execute("UPDATE receipt SET stored = ? WHERE id = ? AND key IS NULL", (size, key))
        self._db.execute("UPDATE receipt SET stored = ? WHERE key = ?", (size, key))

    def stored_size(self, key: str) -> int | None:
        """Size in bytes of the object that `mark_stored` recorded under this key, or None."""
        select = "SELECT stored FROM receipt WHERE"
        row = self._db.execute(f"{select} id = ?1 AND key IS NULL OR key = ?1", (key,)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Close the index and delete its file."""
        self._db.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
