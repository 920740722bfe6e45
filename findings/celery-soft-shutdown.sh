#!/usr/bin/env bash
# Celery 5.7.0: the soft shutdown of a worker sleeps for all of worker_soft_shutdown_timeout, though no task is left.
#
# The timeout reads like the most that a worker which is told to stop waits for its tasks. It is how long it waits while
# any task is at work at that moment: a worker whose only task ends 2 s later leaves after more than 12 s if the timeout
# is 12 s. So a generous timeout makes each restart of a worker that long.
#
# Seen with celery 5.7.0, kombu's file system transport, Python 3.11, Linux:
#
#   the task ended 2 s after the worker was told to stop, the worker 17 s after it
#
# Exits with 0 while this holds, and with 1 once the worker leaves when its last task has ended.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check celery==5.7.0
cat >"$folder/nap.py" <<'PYTHON'
import pathlib, time
import celery

here = pathlib.Path(__file__).parent
app = celery.Celery(broker="filesystem://")
app.conf.update(
    broker_transport_options={"data_folder_in": str(here / "in"), "data_folder_out": str(here / "in"),
                              "control_folder": str(here / "control")},
    worker_soft_shutdown_timeout=12,
)

@app.task
def nap():
    (here / "started").touch()
    time.sleep(4)
    (here / "ended").touch()
PYTHON
mkdir "$folder/in" "$folder/control"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import os, pathlib, signal, subprocess, sys, time
from importlib import metadata

import nap

nap.nap.delay()
command = [sys.executable, "-m", "celery", "--app", "nap", "worker", "--concurrency", "1", "--loglevel", "ERROR",
           "--without-gossip", "--without-mingle"]
worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "C_FORCE_ROOT": "1"})
try:
    limit = time.monotonic() + 60
    while not pathlib.Path("started").exists():
        assert time.monotonic() < limit and worker.poll() is None, "the task did not start"
        time.sleep(0.05)
    time.sleep(2)
    told = time.monotonic()
    worker.send_signal(signal.SIGQUIT)  # Celery's cold shutdown, before which the soft one runs
    ended = None
    while worker.poll() is None:
        assert time.monotonic() < told + 60, "the worker does not leave"
        if ended is None and pathlib.Path("ended").exists():
            ended = time.monotonic() - told
        time.sleep(0.05)
    left = time.monotonic() - told
    print(f"celery {metadata.version('celery')}")
    print(f"the task ended {ended:.0f} s after the worker was told to stop, the worker {left:.0f} s after it")
    sys.exit(not (ended is not None and ended < 5 and left > 11))
finally:
    if worker.poll() is None:
        worker.kill()
        worker.wait()
PYTHON
