"""The cheaper SQLite storage of step processes: the same rows, one connection for each storage object and database."""

import queue
import subprocess
import sys
from pathlib import Path

import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

CODE = """
import sys, threading
from pathlib import Path
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import text
from imgrelay_dagster.dagster_patches import sqlite_storage
from imgrelay_dagster.dagster_patches.sqlite_storage import patch_sqlite_storage
home = Path(sys.argv[1])
"""


def run(code: str, home: Path) -> str:
    """What a fresh interpreter prints: the patch must not reach this one."""
    command = [sys.executable, "-c", CODE + code, str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_storage_keeps_its_connection_and_two_storages_share_none(tmp_path: Path):
    """A storage's lock guards its connection; a connection that two storages shared would have two locks."""
    code = """
assert patch_sqlite_storage()
def connection(storage):
    with storage.run_connection("a-run") as connection:
        return id(connection.connection.driver_connection)
first, second = SqliteEventLogStorage(str(home)), SqliteEventLogStorage(str(home))
print(connection(first) == connection(first), connection(first) == connection(second))
"""
    assert run(code, tmp_path) == "True False"


def test_two_storages_of_one_home_write_at_the_same_time(tmp_path: Path):
    code = """
assert patch_sqlite_storage()
storages = [SqliteEventLogStorage(str(home)) for _ in range(2)]
with storages[0].run_connection("a-run") as connection:
    connection.execute(text("create table numbers (number integer)"))
def write(storage):
    for number in range(200):
        with storage.run_connection("a-run") as connection:
            connection.execute(text("insert into numbers values (:number)"), {"number": number})
threads = [threading.Thread(target=write, args=(storage,)) for storage in storages]
for thread in threads: thread.start()
for thread in threads: thread.join()
with storages[0].run_connection("a-run") as connection:
    print(connection.execute(text("select count(*), sum(number) from numbers")).one())
"""
    assert run(code, tmp_path) == "(400, 39800)"


def test_a_storage_that_is_gone_leaves_no_connection(tmp_path: Path):
    code = """
import gc, os
assert patch_sqlite_storage()
def use():
    storage = SqliteEventLogStorage(str(home))
    with storage.run_connection("a-run"): pass
use()
gc.collect()
descriptors = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
files = [os.readlink(each) for each in descriptors if os.path.lexists(each)]
print([name for name in files if name.startswith(str(home))], len(sqlite_storage._engines))
"""
    assert run(code, tmp_path) == "[] 0"


@pytest.mark.parametrize("patched", [True, False])
def test_migration_scripts_of_other_packages_are_read_as_ever(tmp_path: Path, patched: bool):
    (tmp_path / "theirs" / "versions").mkdir(parents=True)
    code = f"""
from alembic.config import Config
from alembic.script import ScriptDirectory
if {patched}: assert patch_sqlite_storage()
config = Config()
config.set_main_option("script_location", str(home / "theirs"))
print(ScriptDirectory.from_config(config).dir == str(home / "theirs"))
"""
    assert run(code, tmp_path) == "True"


def test_importing_the_patch_changes_nothing(tmp_path: Path):
    code = """
import imgrelay_dagster.forkserver.preload
from alembic.script import ScriptDirectory
print(SqliteEventLogStorage._connect.__module__, ScriptDirectory.from_config.__func__.__module__)
"""
    assert run(code, tmp_path) == "dagster._core.storage.event_log.sqlite.sqlite_event_log alembic.script.base"


def test_a_watcher_sees_each_row_while_the_writer_keeps_its_connection(tmp_path: Path):
    """Dagster's UI watches the file of a run's database; the rows are in the write-ahead log."""
    code = """
import time
from dagster._core.events.log import EventLogEntry
assert patch_sqlite_storage()
storage = SqliteEventLogStorage(str(home))
for line in sys.stdin:
    storage.store_event(EventLogEntry(error_info=None, level=20, user_message=line.strip(), run_id="a-run",
                                      timestamp=time.time()))
    print("stored", flush=True)
"""
    command = [sys.executable, "-c", CODE + code, str(tmp_path)]
    storage = SqliteEventLogStorage(str(tmp_path))
    seen: queue.SimpleQueue[str] = queue.SimpleQueue()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None

        def store(message: str) -> None:
            writer.stdin.write(f"{message}\n")
            writer.stdin.flush()
            writer.stdout.readline()

        store("before")
        storage.watch("a-run", None, lambda entry, _: seen.put(entry.user_message))
        store("first")
        assert [seen.get(timeout=10), seen.get(timeout=10)] == ["before", "first"]
        store("second")
        assert seen.get(timeout=10) == "second"
        writer.stdin.close()
    storage.end_watch("a-run", next(iter(storage._watchers["a-run"])))
    storage.dispose()
