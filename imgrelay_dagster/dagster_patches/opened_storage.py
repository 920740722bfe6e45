"""Opens Dagster's SQLite storage in a step without checking its schema once more.

Changes, in a step process of ours and in no other process: `SqliteRunStorage.from_local`,
`SqliteScheduleStorage.from_local` and `SqliteEventLogStorage._initdb`, for databases that exist. And
`SqliteRunStorage.connect`, which makes a new SQLAlchemy engine for each query, uses one engine.

Why: each step opens the storage that the run's process has opened, checked and, if needed, created before. The checks
of four schemas are a tenth of what a short step costs.

Upstream issue: none known.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import dagster as dg

# Private names, as in dagster 1.13.5 to 1.13.29.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

from imgrelay_dagster.dagster_patches.guard import Patch, install, is_known
from imgrelay_dagster.dagster_patches.spare_engine import SpareEngines


def _exists(database: str | None) -> bool:
    file = Path(database or "")
    return file.is_file() and file.stat().st_size > 0


def _opener(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def from_local(cls: Any, base_dir: str, inst_data: Any = None) -> Any:
        if not _exists(f"{base_dir}/{name}.db"):
            return original(base_dir, inst_data)
        return cls(create_db_conn_string(base_dir, name), inst_data)

    return from_local


_spare = SpareEngines(NullPool, timeout=5.0)
"""With SQLite's default time limit, as in Dagster's."""


@functools.cache
def _engine(address: str) -> Engine:
    return _spare.take(address)


def _connect(storage: SqliteRunStorage) -> Iterator[Connection]:
    with _engine(storage._conn_string).begin() as connection:
        yield connection


def _apply() -> None:
    for kind, name in ((SqliteRunStorage, "runs"), (SqliteScheduleStorage, "schedules")):
        kind.from_local = classmethod(_opener(name, kind.from_local))  # type: ignore[assignment]
    SqliteRunStorage.connect = cast(Any, contextmanager(_connect))  # type: ignore[method-assign]
    original = SqliteEventLogStorage._initdb

    def initdb(storage: SqliteEventLogStorage, engine: Engine, for_index_shard: bool = False) -> None:
        if not _exists(engine.url.database):
            original(storage, engine, for_index_shard)

    SqliteEventLogStorage._initdb = cast(Any, initdb)  # type: ignore[method-assign]


OPENED_STORAGE = Patch(
    name="opened storage",
    libraries="dagster 1.13.5 to 1.13.29",
    sources={
        "dagster._core.storage.runs.sqlite.sqlite_run_storage:SqliteRunStorage.from_local": frozenset(
            {"50b4181e14913751"}
        ),
        "dagster._core.storage.runs.sqlite.sqlite_run_storage:SqliteRunStorage.connect": frozenset(
            {"d343abae6e9bea85"}
        ),
        "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage:SqliteScheduleStorage.from_local": frozenset(
            {"06ae7e70b419ac91"}
        ),
        "dagster._core.storage.event_log.sqlite.sqlite_event_log:SqliteEventLogStorage._initdb": frozenset(
            {"7a302d98eb61a34d"}
        ),
    },
    apply=_apply,
)


def prepare_opened_storage() -> None:
    """Do beforehand, in the process that steps are forked from, what `patch_opened_storage` needs in each of them."""
    if is_known(OPENED_STORAGE):
        _spare.warm_up(_find_run)


def _find_run(engine: Engine) -> None:
    """Look for a run, as each step does."""

    class OneEngine(SqliteRunStorage):
        @contextmanager
        def connect(self) -> Iterator[Connection]:
            with engine.begin() as connection:
                yield connection

    RunStorageSqlMetadata.create_all(engine)
    OneEngine("sqlite://").get_runs(dg.RunsFilter(run_ids=["none"]), limit=1)


def patch_opened_storage() -> bool:
    """Change the storage in this process; returns whether it is changed."""
    return install(OPENED_STORAGE)
