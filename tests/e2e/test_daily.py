"""Daily drops under the real daemon and webserver: schedule, late days, backfills, missing days."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.conftest import ROOT
from tests.e2e.conftest import day_before, own_days, requests_of_tests
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.ui import (
    backfill,
    runs_tagged,
    schedule_ticks,
    sensor_ticks,
    start_sensor,
    stop_schedule,
    stop_sensor,
    wait_for_backfill,
)

pytestmark = pytest.mark.timeout(900)


def urls(origin: Origin, day: str, count: int) -> list[str]:
    return [origin.url(f"jpeg/small-dawn.jpg?{day}-{number}") for number in range(count)]


def drop(served: DagsterServers, origin: Origin, day: str, count: int) -> None:
    """A manifest that came a minute ago: a younger one might still be being written."""
    path = served.manifests / served.write_manifest(f"{day}.txt", urls(origin, day, count))
    written = time.time() - 60
    os.utime(path, (written, written))


def runs_of(served: DagsterServers, day: str) -> list[str]:
    """The runs of a day, the latest first."""
    return list(runs_tagged(served, dagster__partition=day))


def ended_ticks(served: DagsterServers) -> list[dict[str, Any]]:
    """The schedule's ticks that have come to their end."""
    return [tick for tick in schedule_ticks(served, "daily_drop") if tick["status"] != "STARTED"]


def test_a_backfill_runs_each_day_by_itself_names_a_missing_day_and_a_second_one_does_only_what_is_left(
    served: DagsterServers, origin: Origin
):
    first, missing, last = days = own_days(3)
    for day in (first, last):
        drop(served, origin, day, 3)
    origin.hits.clear()
    assert wait_for_backfill(served, backfill(served, days)) == "COMPLETED_FAILED"
    assert [len(runs_of(served, day)) for day in days] == [1, 1, 1]
    assert served.failure(runs_of(served, missing)[0]).startswith(f"there is no manifest of day {missing}; looked for ")
    for day in (first, last):
        summary = served.summary(runs_of(served, day)[0])
        assert (summary["dataset"], summary["uploaded"]) == (f"daily-{day}", 3)
    assert requests_of_tests(origin).total() == 6

    drop(served, origin, missing, 2)
    assert wait_for_backfill(served, backfill_by_command(served, first, last)) == "COMPLETED"  # all runs are queued
    again = [runs_of(served, day)[0] for day in days]
    assert [served.wait_for(run_id, limit=300) for run_id in again] == ["SUCCESS"] * 3
    assert [len(runs_of(served, day)) for day in days] == [2, 2, 2]
    assert most_at_once(served, again) <= 2  # max_concurrent_runs
    latest = [served.summary(run_id) for run_id in again]
    assert [summary["uploaded"] for summary in latest] == [0, 2, 0]
    assert [summary["unchanged"] for summary in latest] == [3, 0, 3]
    assert requests_of_tests(origin).total() == 8


def most_at_once(served: DagsterServers, runs: list[str]) -> int:
    """How many of these runs were going on at the same time."""
    records = list(map(served.dagster.get_run_record_by_id, runs))
    return max(sum(other.start_time <= run.start_time < other.end_time for other in records) for run in records)


def backfill_by_command(served: DagsterServers, first: str, last: str) -> str:
    """Ask for a backfill on the command line, beside the running servers; returns its id."""
    before = {found.backfill_id for found in served.dagster.get_backfills()}
    command = ["job", "backfill", "-w", ROOT / "workspace.yaml", "-j", "relay_day", "--from", first, "--to", last]
    done = subprocess.run(
        [Path(sys.executable).parent / "dagster", *command, "--noprompt"],
        env=served.environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (asked,) = {found.backfill_id for found in served.dagster.get_backfills()} - before
    return asked


def test_a_day_without_a_manifest_is_a_skipped_tick_and_is_relayed_once_when_it_comes_and_again_when_it_is_rewritten(
    served: DagsterServers, origin: Origin
):
    (tick,) = until(lambda: ended_ticks(served), 240, "the schedule's hour has come")
    stop_schedule(served, "daily_drop")
    assert (tick["status"], tick["runIds"]) == ("SKIPPED", [])
    assert tick["skipReason"].startswith("there is no manifest of day ")
    assert str(served.manifests) in tick["skipReason"]

    day = day_before(3)
    drop(served, origin, day, 3)
    start_sensor(served, "late_manifests")
    (run_id,) = until(lambda: runs_of(served, day), 120, "the late day is asked for")
    tags = served.tags(run_id)
    assert (tags["imgrelay/dataset"], tags["imgrelay/manifest"]) == (
        f"daily-{day}",
        str(served.manifests / f"{day}.txt"),
    )
    assert served.wait_for(run_id) == "SUCCESS"
    drop(served, origin, day, 5)
    again, _ = until(
        lambda: runs if len(runs := runs_of(served, day)) > 1 else None, 180, "the new version is asked for"
    )
    assert served.wait_for(again) == "SUCCESS"
    assert (served.summary(again)["unchanged"], served.summary(again)["uploaded"]) == (3, 2)
    until(lambda: sensor_ticks(served, "late_manifests")[0]["status"] == "SKIPPED", 120, "nothing is late any more")
    assert runs_of(served, day) == [again, run_id]
    stop_sensor(served, "late_manifests")
