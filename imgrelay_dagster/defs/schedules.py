"""The schedule that relays the manifest of each day at a set hour."""

import dagster as dg

from imgrelay_dagster.automation.daily_manifests import day_request, find_and_record
from imgrelay_dagster.automation.partitions import (
    daily_partitions,
    describe_locations,
    schedule_time,
    scheduled_day,
    time_zone,
)
from imgrelay_dagster.defs.jobs import relay_day
from imgrelay_dagster.resources import StoresResource


@dg.schedule(
    name="daily_drop",
    job=relay_day,
    cron_schedule=f"{schedule_time().minute} {schedule_time().hour} * * *",
    execution_timezone=time_zone().key,
    description=(
        "Relays the manifest of yesterday (or of today: IMGRELAY_DROP_DAY) every day at IMGRELAY_DROP_AT. Skips a "
        "day without a manifest; sensor late_manifests relays it when it arrives."
    ),
)
def daily_drop(context: dg.ScheduleEvaluationContext, stores: StoresResource) -> dg.RunRequest | dg.SkipReason:
    """Request a run for the day that the schedule relays at this tick, or skip a day without a manifest."""
    day = scheduled_day(context.scheduled_execution_time)
    if not daily_partitions.has_partition_key(day):
        return dg.SkipReason(f"day {day} is before the first day (IMGRELAY_FIRST_DAY)")
    manifest = find_and_record(context.instance, day, stores)
    if manifest is None:
        return dg.SkipReason(f"there is no manifest of day {day} yet; looked for {describe_locations(day)}")
    return day_request(day, manifest)
