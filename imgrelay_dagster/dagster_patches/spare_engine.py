"""SQLite engines that are made and used once before a step's process is forked, and get their database in it.

SQLAlchemy compiles each statement at its first use and asks a new engine's first connection what it can do. In a short
step that is a tenth of all work, and every step has the same statements. So the process that steps are forked from has
used these engines for the same statements, on a database that is gone by then.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import create_engine
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.pool import Pool


class SpareEngine:
    """One engine whose database is chosen when it is taken.

    Args:
        poolclass: how it keeps connections.
        timeout: seconds to wait for a lock of the database.
    """

    def __init__(self, poolclass: type[Pool], timeout: float) -> None:
        self._poolclass = poolclass
        self._timeout = timeout
        self._spare: tuple[list[str], Engine] | None = None

    def warm_up(self, use: Callable[[Engine], None]) -> None:
        """Make the engine, and use it on an empty database that is deleted afterwards."""
        with TemporaryDirectory(prefix="imgrelay-") as folder:
            place, engine = self._make(str(Path(folder) / "warm.db"))
            use(engine)
            engine.dispose()  # no connection may be open in two processes
        self._spare = place, engine

    def take(self, address: str) -> Engine:
        """An engine for the database at this address: the spare one, or if it is taken already, a new one."""
        url = make_url(address)
        place, engine = self._spare or self._make("")
        self._spare = None
        place[0], engine.url = url.database or "", url
        return engine

    def _make(self, database: str) -> tuple[list[str], Engine]:
        place = [database]

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(place[0], timeout=self._timeout, check_same_thread=False)

        return place, create_engine("sqlite://", creator=connect, poolclass=self._poolclass)
