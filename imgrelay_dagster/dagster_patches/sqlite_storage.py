"""Dagster's storage as step processes and the command use it: less work for the same rows.

It changes a library at run time, for the process that steps are forked from and the steps, which import it by
`preload.py`, for the command, and for no other.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sql import ALEMBIC_SCRIPTS_LOCATION
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool


def make_cheaper() -> None:
    """Change both."""
    ScriptDirectory.from_config = staticmethod(  # type: ignore[method-assign]
        lambda config: _migrations(config.get_main_option("script_location"))
    )
    _migrations(ALEMBIC_SCRIPTS_LOCATION)
    SqliteEventLogStorage._connect = cast(Any, contextmanager(_connect))  # type: ignore[method-assign]


_from_config = ScriptDirectory.from_config


@functools.cache
def _migrations(location: str) -> ScriptDirectory:
    """Alembic's migration scripts, read once.

    In every step, and for each of its storages, Dagster compares the database's schema with its own, for which Alembic
    reads and runs some sixty scripts: half of what a short step costs. They do not change while we run.
    """
    config = Config()
    config.set_main_option("script_location", location)
    scripts = _from_config(config)
    scripts.as_revision_number("head")
    return scripts


def _connect(storage: SqliteEventLogStorage, shard: str) -> Iterator[Connection]:
    """A transaction on one of the event log's databases, by a connection that is kept.

    Dagster's own opens and closes the database for each of a step's dozen rows; closed by its last user, SQLite also
    folds its write-ahead log back and deletes it. That and the new engine are two thirds of what a row costs.
    """
    with storage._db_lock:
        engine = _engine(storage.conn_string_for_shard(shard))
        if shard not in storage._initialized_dbs:
            storage._initdb(engine)
            storage._initialized_dbs.add(shard)
        with engine.begin() as connection:
            yield connection


@functools.cache
def _engine(address: str) -> Engine:
    arguments = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    return create_engine(address, poolclass=StaticPool, connect_args=arguments)
