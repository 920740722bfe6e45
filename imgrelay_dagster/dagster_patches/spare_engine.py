"""SQLite engines that are made and used once before a step's process is forked, and get their database in it.

A process that executes several steps opens Dagster's storage for each of them, with the engines of the step before.

SQLAlchemy compiles each statement at its first use and asks a new engine's first connection what it can do. In a short
step that is a tenth of all work, and every step has the same statements. So the process that steps are forked from has
used these engines for the same statements, on a database that is gone by then.

Their connections do not wait for the disk at each commit, as SQLite's do by default (`synchronous=NORMAL`). With a
write-ahead log, which Dagster's databases have, a killed process loses nothing by that. After a loss of power the last
events of a run may be missing; the database stays whole, and what a run has stored is known by its receipts.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from weakref import WeakKeyDictionary

from sqlalchemy import create_engine
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.pool import Pool


class SpareEngines:
    """Engines whose database is chosen when they are taken. Thread-safe.

    Args:
        poolclass: how it keeps connections.
        timeout: seconds to wait for a lock of the database.
    """

    def __init__(self, poolclass: type[Pool], timeout: float) -> None:
        self._poolclass = poolclass
        self._timeout = timeout
        self._spare: list[Engine] = []
        self._places: WeakKeyDictionary[Engine, list[str]] = WeakKeyDictionary()

    def __len__(self) -> int:
        """The number of engines that can be taken without making one."""
        return len(self._spare)

    def warm_up(self, use: Callable[[Engine], None]) -> None:
        """Make an engine, and use it on an empty database that is deleted afterwards."""
        with TemporaryDirectory(prefix="imgrelay-") as folder:
            engine = self._make(str(Path(folder) / "warm.db"))
            use(engine)
            self.give_back(engine)  # no connection may be open in two processes

    def take(self, address: str) -> Engine:
        """An engine for the database at this address: a spare one, or if all are taken, a new one."""
        url = make_url(address)
        try:
            engine = self._spare.pop()
        except IndexError:
            engine = self._make("")
        self._places[engine][0], engine.url = url.database or "", url
        return engine

    def give_back(self, engine: Engine) -> None:
        """Close an engine's connections; it can then be taken again."""
        engine.dispose()
        self._spare.append(engine)

    def _make(self, database: str) -> Engine:
        place = [database]

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(place[0], timeout=self._timeout, check_same_thread=False)
            connection.execute("PRAGMA synchronous=NORMAL")
            return connection

        engine = create_engine("sqlite://", creator=connect, poolclass=self._poolclass)
        self._places[engine] = place
        return engine
