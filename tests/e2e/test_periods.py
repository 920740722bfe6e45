"""Hourly and weekly partitions, and days of other time zones, under the real daemon; the settings change in between."""

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.ui import (
    backfill,
    runs_tagged,
    schedule_ticks,
    start_schedule,
    start_sensor,
    stop_schedule,
    stop_sensor,
    wait_for_backfill,
)

pytestmark = pytest.mark.timeout(1500)

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def hourly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServers]:
    """`dagster dev` with hourly partitions; the schedule's minute comes soon."""
    soon = datetime.now(UTC) + timedelta(minutes=3)  # so that also a slow machine has turned the schedule on by then
    with DagsterServers(
        tmp_path_factory.mktemp("periods"),
        IMGRELAY_PARTITIONS="hourly",
        IMGRELAY_TIMEZONE="Europe/Berlin",
        IMGRELAY_FIRST_DAY="2026-03-01",
        IMGRELAY_DROP_AT=f"00:{soon:%M}",
        IMGRELAY_LATE_INTERVAL="5",
    ) as served:
        yield served


def drop(served: DagsterServers, origin: Origin, name: str) -> None:
    """A manifest of one URL that came a minute ago."""
    path = served.manifests / served.write_manifest(f"{name}.txt", [origin.url(f"jpeg/small-dawn.jpg?{name}")])
    os.utime(path, (time.time() - 60,) * 2)


def filled(served: DagsterServers, periods: list[str]) -> list[str]:
    """Backfill these partitions; returns the datasets of their runs."""
    assert wait_for_backfill(served, backfill(served, periods)) == "COMPLETED_SUCCESS"
    found = []
    for period in periods:
        run_id, *_ = runs_tagged(served, dagster__partition=period)
        assert (served.wait_for(run_id), served.summary(run_id)["uploaded"]) == ("SUCCESS", 1), served.why(run_id)
        found.append(served.summary(run_id)["dataset"])
    return found


def test_hours_days_and_weeks_of_time_zones_are_relayed_whatever_the_clock_does(hourly: DagsterServers, origin: Origin):
    served = hourly
    start_schedule(served, "daily_drop")
    now = datetime.now(BERLIN)
    recent = [now - timedelta(hours=hours) for hours in (1, 0)]  # the tick may come in the next hour
    late = now - timedelta(hours=4)
    names = {f"{at:%Y-%m-%d-%H}" for at in (*recent, late)}
    # The 29th of March has no hour 2, the 25th of October has it twice.
    changes = ["2026-03-29-01", "2026-03-29-03", "2026-10-25-02", "2026-10-25-02+0100", "2026-10-25-03"]
    for name in [*names, *changes]:
        drop(served, origin, name)
    keys = [re.sub(r"(-\d\d)(\+\d+)?$", r"\1:00\2", name) for name in changes]
    assert filled(served, keys) == [f"hourly-{name.replace('+', '-')}" for name in changes]

    start_sensor(served, "late_manifests")
    (late_run,) = until(
        lambda: runs_tagged(served, dagster__partition=f"{late:%Y-%m-%d-%H}:00"), 120, "the late hour has a run"
    )
    assert served.wait_for(late_run) == "SUCCESS", served.why(late_run)
    stop_sensor(served, "late_manifests")
    ticks = until(
        lambda: [tick for tick in schedule_ticks(served, "daily_drop") if tick["status"] == "SUCCESS"],
        540,
        "the schedule's minute has come",
    )
    stop_schedule(served, "daily_drop")
    (scheduled,) = ticks[-1]["runIds"]
    assert served.wait_for(scheduled) == "SUCCESS", served.why(scheduled)
    ticked = datetime.fromtimestamp(ticks[-1]["timestamp"], BERLIN)
    assert served.summary(scheduled)["dataset"] == f"hourly-{ticked - timedelta(hours=1):%Y-%m-%d-%H}"
    report = (served.results_folder(scheduled) / "report.html").read_text()
    assert re.search(r"<dt>ended</dt><dd>\S+ \S+ CES?T</dd>", report)

    served.restart(IMGRELAY_PARTITIONS="daily", IMGRELAY_TIMEZONE="Africa/Cairo")
    days = ["2026-04-23", "2026-04-24", "2026-10-29"]  # the second has no midnight, the third has 25 hours
    for day in days:
        drop(served, origin, day)
    assert filled(served, days) == [f"daily-{day}" for day in days]

    served.restart(IMGRELAY_PARTITIONS="weekly", IMGRELAY_TIMEZONE="America/New_York")
    drop(served, origin, "2026-10-26")  # its Sunday has 25 hours
    assert filled(served, ["2026-10-26"]) == ["weekly-2026-10-26"]
