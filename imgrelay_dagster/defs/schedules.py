"""What asks for a day's images at a set hour."""

import dagster as dg

from imgrelay_dagster.automation.daily_manifests import day_request, see_day
from imgrelay_dagster.automation.partitions import days, drop_day, drop_time, where
from imgrelay_dagster.defs.jobs import relay_day
from imgrelay_dagster.resources import StoresResource


@dg.schedule(
    name="daily_drop",
    job=relay_day,
    cron_schedule=f"{drop_time().minute} {drop_time().hour} * * *",
    execution_timezone="UTC",
    description=(
        "Relays the manifest of yesterday (of today by IMGRELAY_DROP_DAY) at IMGRELAY_DROP_AT, UTC. A day without one "
        "is skipped; sensor late_manifests relays it when it comes."
    ),
)
def daily_drop(context: dg.ScheduleEvaluationContext, stores: StoresResource) -> dg.RunRequest | dg.SkipReason:
    """Ask for the day that is due."""
    day = drop_day(context.scheduled_execution_time)
    if not days.has_partition_key(day):
        return dg.SkipReason(f"day {day} lies before the first one (IMGRELAY_FIRST_DAY)")
    found = see_day(context.instance, day, stores)
    if found is None:
        return dg.SkipReason(f"there is no manifest of day {day} yet; looked for {where(day)}")
    return day_request(day, found)
