"""Which line of a manifest claims which key, in a database on disk: a list may have millions of keys."""

import sqlite3
from pathlib import Path
from typing import NamedTuple, Self

from imgrelay_dagster.relay.outcomes import Record


class Claim(NamedTuple):
    """The line that claims a key. Lines with the same key and fingerprint share one image."""

    line: int
    part: int
    key: str | None
    fingerprint: str | None

    @classmethod
    def of(cls, record: Record) -> Self:
        """What a record claims."""
        return cls(record.line, record.part, record.key, record.fingerprint)

    def is_same_image(self, other: "Claim") -> bool:
        """Whether one image serves both. The fingerprint is also that of the URL."""
        return (self.key, self.fingerprint) == (other.key, other.fingerprint)


class KeyClaims:
    """The first line of each key, in a temporary SQLite database at `path`. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(path)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE claim (id TEXT PRIMARY KEY, line INTEGER, part INTEGER, key TEXT, fingerprint TEXT)"
            " WITHOUT ROWID;"
        )

    def claim(self, identity: str, claim: Claim) -> Claim | None:
        """Store a claim of `identity` if there is none, and return None; otherwise return the one that is there."""
        claimed = self._db.execute("INSERT OR IGNORE INTO claim VALUES (?, ?, ?, ?, ?)", (identity, *claim))
        return None if claimed.rowcount else self.get(identity)

    def get(self, identity: str) -> Claim | None:
        """The claim of `identity`, if there is one."""
        row = self._db.execute("SELECT line, part, key, fingerprint FROM claim WHERE id = ?", (identity,)).fetchone()
        return None if row is None else Claim(*row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        self._path.unlink(missing_ok=True)
