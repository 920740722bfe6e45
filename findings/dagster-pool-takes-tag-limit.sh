#!/usr/bin/env bash
# dagster 1.13.27: a step that waits for a pool takes a slot of its tag_concurrency_limits, though it does not run.
#
# With a pool for each partner and a tag limit for all downloads, a busy partner should delay its own steps. But the
# executor counts a ready step for the tag limit first and asks for the pool's slot then. If there is none, the step
# stays ready, and the count is not taken back for this round. So with a limit of N, the first N steps (by priority,
# then by key) whose pool is full keep all others with the tag from starting, in every round, until the pool is free:
# the run stands still, with free pools and no step at work. Without the tag limit, the same steps start at once.
#
# Seen with dagster 1.13.27, Python 3.11 (another run holds the only slot of slow_partner for 10 s):
#
#   with a tag limit of 1: the step of free_partner started after the slot was free
#   without a tag limit: the step of free_partner started while the slot was held
#
# Exits with 0 while this holds, and with 1 once the other step starts before.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export DAGSTER_HOME="$folder/home" DAGSTER_DISABLE_TELEMETRY=1
mkdir "$DAGSTER_HOME"
printf 'telemetry: {enabled: false}\n' >"$DAGSTER_HOME/dagster.yaml"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dagster==1.13.27
cat >"$folder/partners.py" <<'PYTHON'
import dagster as dg


@dg.op(pool="slow_partner", tags={"kind": "download"})
def a_slow():
    pass


@dg.op(pool="free_partner", tags={"kind": "download"})
def b_free():
    pass


@dg.job(executor_def=dg.multiprocess_executor)
def downloads():
    a_slow()
    b_free()
PYTHON
cat >"$folder/run.py" <<'PYTHON'
import sys, threading, time, uuid

import dagster as dg
from dagster import DagsterEventType

from partners import downloads

HELD = 10


def started(instance, limits):
    """Whether b_free started while the slot of slow_partner was held."""
    storage, other = instance.event_log_storage, str(uuid.uuid4())
    claim = storage.claim_concurrency_slot("slow_partner", other, "download")
    assert claim.is_claimed, claim
    freed = []

    def free():
        time.sleep(HELD)
        storage.free_concurrency_slots_for_run(other)
        freed.append(time.time())

    thread = threading.Thread(target=free)
    thread.start()
    config = {"execution": {"config": {"max_concurrent": 4, "tag_concurrency_limits": limits}}}
    with dg.execute_job(dg.reconstructable(downloads), instance=instance, run_config=config) as result:
        thread.join()
        assert result.success
        records = instance.all_logs(result.run_id, of_type=DagsterEventType.STEP_START)
    (at,) = [record.timestamp for record in records if record.step_key == "b_free"]
    return at < freed[0]


def main():
    instance = dg.DagsterInstance.get()
    for pool in ("slow_partner", "free_partner"):
        instance.event_log_storage.set_concurrency_slots(pool, 1)
    found = []
    for name, limits in (("with a tag limit of 1", [{"key": "kind", "limit": 1}]), ("without a tag limit", [])):
        found.append(started(instance, limits))
        when = "while the slot was held" if found[-1] else "after the slot was free"
        print(f"{name}: the step of free_partner started {when}")
    sys.exit(found != [False, True])


if __name__ == "__main__":
    main()
PYTHON
cd "$folder"
"$folder/venv/bin/python" run.py 2>/dev/null
