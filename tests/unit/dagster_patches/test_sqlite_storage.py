"""The cheaper SQLite storage of step processes: the same rows, one connection for each storage object and database."""

import os
import queue
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from tests.support import warm_start
from tests.support.warm_start import output_of

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
    """What another process prints: the patch must not reach this one."""
    return output_of(CODE + code, home)


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


def event(message: str) -> EventLogEntry:
    return EventLogEntry(error_info=None, level=20, user_message=message, run_id="a-run", timestamp=time.time())


def watch(storage: SqliteEventLogStorage) -> "queue.SimpleQueue[str]":
    """The messages of the run's new rows, as Dagster's UI learns of them."""
    seen: queue.SimpleQueue[str] = queue.SimpleQueue()
    storage.watch("a-run", None, lambda entry, _: seen.put(entry.user_message))
    return seen


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
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with warm_start.popen(command, env=os.environ, **pipes) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None

        def store(message: str) -> None:
            writer.stdin.write(f"{message}\n")
            writer.stdin.flush()
            writer.stdout.readline()

        store("before")
        seen = watch(storage)
        store("first")
        assert [seen.get(timeout=10), seen.get(timeout=10)] == ["before", "first"]
        store("second")
        assert seen.get(timeout=10) == "second"
        writer.stdin.close()
    storage.end_watch("a-run", next(iter(storage._watchers["a-run"])))
    storage.dispose()


def test_a_process_that_closes_its_connection_shows_what_others_wrote_meanwhile(tmp_path: Path):
    """A run's own process writes the end of the run while step processes still have its database open."""
    code = """
import os, time
from dagster._core.events.log import EventLogEntry
assert patch_sqlite_storage()
storage = SqliteEventLogStorage(str(home))
storage.store_event(EventLogEntry(error_info=None, level=20, user_message="step", run_id="a-run",
                                  timestamp=time.time()))
print("stored", flush=True)
sys.stdin.readline()
sqlite_storage.close_sqlite_storage()
os._exit(0)
"""
    command = [sys.executable, "-c", CODE + code, str(tmp_path)]
    storage = SqliteEventLogStorage(str(tmp_path))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with warm_start.popen(command, env=os.environ, **pipes) as step:
        assert step.stdin is not None
        assert step.stdout is not None
        step.stdout.readline()
        seen = watch(storage)
        storage.store_event(event("end"))
        step.stdin.write("\n")
        step.stdin.flush()
        assert [seen.get(timeout=10), seen.get(timeout=10)] == ["step", "end"]
    storage.end_watch("a-run", next(iter(storage._watchers["a-run"])))  # which reads the database
    storage.dispose()
