#!/usr/bin/env bash
# dagster 1.13.27: on SQLite, the run page of a running run stands still while any process keeps the run's database open.
#
# Dagster's webserver learns of new events by a file watcher on the run's .db file. The database is in WAL mode: a row
# goes to the write-ahead log, and the .db file changes only when SQLite folds the log into it. Dagster's own writers
# close the database after each row, and closing the last connection folds the log. One process that keeps a connection
# open (a reader is enough) prevents that, so the watcher sees no event until the log has 1,000 pages. Queries see all
# rows at once: GraphQL has the events, the page does not. Setting the time of the .db file wakes the watcher.
#
# Seen with dagster 1.13.27, watchdog 6.0.0, SQLAlchemy 2.1.9, Python 3.11 (one event was stored before):
#
#   nobody keeps it open: stored 3 more, watcher saw 4
#   a reader keeps it open: stored 3 more, watcher saw 0
#   after os.utime: watcher saw 4
#
# Exits with 0 while this holds, and with 1 once the watcher sees rows in the write-ahead log.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dagster==1.13.27 watchdog==6.0.0 sqlalchemy==2.1.9
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import os, sqlite3, subprocess, sys, time

from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

WRITER = """
import sys, time
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
storage = SqliteEventLogStorage(sys.argv[1])
for number in range(int(sys.argv[3])):
    storage.store_event(EventLogEntry(error_info=None, level=20, user_message="x", run_id=sys.argv[2], timestamp=time.time()))
"""


def write(home, run_id, rows):
    subprocess.run([sys.executable, "-c", WRITER, home, run_id, str(rows)], check=True)


def watched(run_id, keep_open):
    home = f"{sys.argv[1]}/{run_id}"
    os.makedirs(home)
    write(home, run_id, 1)
    kept = sqlite3.connect(f"{home}/{run_id}.db") if keep_open else None
    if kept:
        kept.execute("select count(*) from event_logs").fetchone()
    seen = []
    storage = SqliteEventLogStorage(home)
    storage.watch(run_id, None, lambda entry, cursor: seen.append(entry))
    time.sleep(1)
    seen.clear()
    write(home, run_id, 3)
    time.sleep(5)
    found = len(seen)
    os.utime(f"{home}/{run_id}.db")
    time.sleep(3)
    after = len(seen)
    storage.dispose()
    return found, after


free, _ = watched("free", False)
held, touched = watched("held", True)
print(f"nobody keeps it open: stored 3 more, watcher saw {free}")
print(f"a reader keeps it open: stored 3 more, watcher saw {held}")
print(f"after os.utime: watcher saw {touched}")
sys.exit(not (free >= 3 and held == 0 and touched >= 3))
PYTHON
