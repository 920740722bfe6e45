"""Makes Dagster's SQLite storage write the same rows with less work.

Changes, in a step process of ours and in the command `imgrelay`, and in no other process:

- `SqliteEventLogStorage._connect` keeps one connection for each database of a storage object. Dagster's own opens and
  closes the database for each of a step's dozen rows; when the last connection is closed, SQLite also copies the
  write-ahead log into the database and deletes it. That and the new engine are two thirds of what a row costs.
  Dagster's UI learns of new rows by a change of the database's file, and a row in the write-ahead log changes only
  that log. So each write also sets the time of the file, and `close_sqlite_storage` closes the connections.
- `ScriptDirectory.from_config` reads Dagster's migration scripts once. Dagster compares the schema of each storage with
  its own in every step, for which Alembic reads and runs some sixty scripts: half of what a short step costs. The
  scripts of other packages are read as before.

Upstream issue: none known.
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, cast
from weakref import WeakKeyDictionary, finalize

from alembic.config import Config
from alembic.script import ScriptDirectory

# Private names, as in dagster 1.13.5 to 1.13.29.
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sql import ALEMBIC_SCRIPTS_LOCATION
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool

from imgrelay_dagster.dagster_patches.guard import Patch, install, is_known
from imgrelay_dagster.dagster_patches.spare_engine import SpareEngines

_from_config = ScriptDirectory.from_config

_spare = SpareEngines(StaticPool, SQLITE_BUSY_TIMEOUT_SECONDS)

_engines: WeakKeyDictionary[SqliteEventLogStorage, dict[str, Engine]] = WeakKeyDictionary()
"""For each storage object its engines by address: one connection each, guarded by that object's own lock."""


@functools.cache
def _migrations() -> ScriptDirectory:
    """Dagster's migration scripts, read once."""
    config = Config()
    config.set_main_option("script_location", ALEMBIC_SCRIPTS_LOCATION)
    scripts = _from_config(config)
    scripts.as_revision_number("head")
    return scripts


def _migrations_of(config: Config) -> ScriptDirectory:
    is_dagsters = config.get_main_option("script_location") == ALEMBIC_SCRIPTS_LOCATION
    return _migrations() if is_dagsters else _from_config(config)


def _connect(storage: SqliteEventLogStorage, shard: str) -> Iterator[Connection]:
    """A transaction on one database of the event log, by the connection that is kept for it."""
    with storage._db_lock:
        engine = _engine(storage, storage.conn_string_for_shard(shard))
        if shard not in storage._initialized_dbs:
            storage._initdb(engine)
            storage._initialized_dbs.add(shard)
        with engine.begin() as connection:
            driver: Any = connection.connection.driver_connection
            changes = driver.total_changes
            yield connection
            written = driver.total_changes > changes
        if written:
            with suppress(OSError):  # another process deletes the run
                os.utime(storage.path_for_shard(shard))


def _engine(storage: SqliteEventLogStorage, address: str) -> Engine:
    engines = _engines.get(storage)
    if engines is None:
        engines = _engines[storage] = {}
        finalize(storage, _close, engines)
    if address not in engines:
        engines[address] = _spare.take(address)
    return engines[address]


def _close(engines: dict[str, Engine]) -> None:
    while engines:
        _spare.give_back(engines.popitem()[1])


def close_sqlite_storage() -> None:
    """Close the connections that are kept, before this process ends without destroying its objects.

    The last one that is closed copies the write-ahead log into the database. Without that, Dagster's UI would not learn
    of what the run's process, which sets no time, wrote meanwhile: the page of the run would not show its end.
    """
    for engines in list(_engines.values()):
        _close(engines)


def _apply() -> None:
    ScriptDirectory.from_config = staticmethod(_migrations_of)  # type: ignore[method-assign]
    SqliteEventLogStorage._connect = cast(Any, contextmanager(_connect))  # type: ignore[method-assign]


_STORAGE = "dagster._core.storage.event_log.sqlite.sqlite_event_log:SqliteEventLogStorage"

SQLITE_STORAGE = Patch(
    name="SQLite storage",
    libraries="dagster 1.13.5 to 1.13.29, alembic 1.13.1 to 1.20.1",
    sources={
        f"{_STORAGE}._connect": frozenset({"b8435f2665689760"}),
        f"{_STORAGE}._initdb": frozenset({"7a302d98eb61a34d"}),
        "dagster._core.storage.sql:check_alembic_revision": frozenset({"0cda7bdd1df027ec"}),
        "dagster._core.storage.sql:get_alembic_config": frozenset({"af345f0fd9d47903"}),
        "alembic.script:ScriptDirectory.from_config": frozenset(
            {"e27bb9e559c11002", "681996e593b912b4", "1f6b2def55c6aaa5", "0d33c622e30dfc61"}
        ),
    },
    apply=_apply,
)


def prepare_sqlite_storage() -> None:
    """Do beforehand, in the process that steps are forked from, what `patch_sqlite_storage` needs in each of them."""
    if is_known(SQLITE_STORAGE):
        _migrations()
        _spare.warm_up(_insert_event)


def _insert_event(engine: Engine) -> None:
    """Add a row of the columns that each event has, as `SqlEventLogStorage.prepare_insert_event` does."""
    SqlEventLogStorageMetadata.create_all(engine)
    # The compiled statement depends on the order of the columns.
    row = {"run_id": "", "event": "", "dagster_event_type": "", "timestamp": datetime.now()}
    row |= {"step_key": "", "asset_key": None, "partition": None}
    with engine.begin() as connection:
        connection.execute(SqlEventLogStorageTable.insert().values(**row))


def patch_sqlite_storage() -> bool:
    """Change the storage in this process; returns whether it is changed."""
    return install(SQLITE_STORAGE)
