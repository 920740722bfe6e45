"""An index of receipts on disk, so that planning needs no memory for them."""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.receipts import record_json


class ReceiptIndex:
    """Receipts by key or by line, on scratch disk, so that a hundred thousand of them cost no memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._empty = True
        self._db = sqlite3.connect(path)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE receipt (id PRIMARY KEY, at REAL, record BLOB, stored INTEGER) WITHOUT ROWID;"
        )

    def add(self, identity: str | int, record: Record) -> None:
        """Keep a receipt under its key or line; the latest one stays."""
        self._empty = False
        self._db.execute(
            "INSERT INTO receipt (id, at, record) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET at = excluded.at, record = excluded.record WHERE excluded.at >= receipt.at",
            (identity, record.at or 0.0, record_json.dump_json(record)),
        )

    def claim(self, identity: str, record: Record) -> Record | None:
        """Keep a record under its key if there is none; return the one that there is."""
        self._empty = False
        values = (identity, record_json.dump_json(record))
        claimed = self._db.execute("INSERT OR IGNORE INTO receipt (id, at, record) VALUES (?, 0, ?)", values)
        return None if claimed.rowcount else self.get(identity)

    def get(self, identity: str | int) -> Record | None:
        """The latest receipt under this key or line."""
        if self._empty:
            return None
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
