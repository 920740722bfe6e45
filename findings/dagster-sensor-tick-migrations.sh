#!/usr/bin/env bash
# dagster 1.13.27: on the default SQLite instance, each tick of a sensor imports all migration scripts of Dagster again.
#
# A sensor that uses `context.instance` opens the instance anew in each tick. Its three SQLite storages each compare the
# schema of their database with the newest migration, for which Alembic executes every script in Dagster's folder of
# migrations. With the default interval of 30 seconds, one sensor that only looks and skips makes the code server
# execute about six scripts per second, day and night, and each further sensor as many. Nothing is kept from one tick to
# the next.
#
# Seen with dagster 1.13.27, Python 3.11:
#
#   a tick that skips imports 176 migration scripts, the next one 176
#
# Exits with 0 while each tick imports scripts, and with 1 once a second tick imports none.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export DAGSTER_HOME="$folder/home" DAGSTER_DISABLE_TELEMETRY=1
mkdir "$DAGSTER_HOME"
printf 'telemetry: {enabled: false}\n' >"$DAGSTER_HOME/dagster.yaml"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dagster==1.13.27
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import dagster as dg
from alembic import util
from dagster._grpc.impl import get_external_sensor_execution


@dg.op
def nothing():
    pass


@dg.job
def work():
    nothing()


@dg.sensor(job=work)
def watcher(context):
    return dg.SkipReason(f"{context.instance.get_runs_count()} runs, nothing to do")


repository = dg.Definitions(jobs=[work], sensors=[watcher]).get_repository_def()
reference = dg.DagsterInstance.get().get_ref()
imported = []
original = util.load_python_file


def load(folder, name):
    imported.append(name)
    return original(folder, name)


util.load_python_file = load
counts = []
for _ in range(2):
    imported.clear()
    get_external_sensor_execution(repository, None, reference, "watcher", None, None, None, None, None)
    counts.append(len(imported))
print(f"a tick that skips imports {counts[0]} migration scripts, the next one {counts[1]}")
sys.exit(counts[1] == 0)
PYTHON
