"""The schedules that relay the manifest of each period at a set time: one for each daily asset."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from imgrelay_dagster.automation.daily_manifests import find_and_record, period_request
from imgrelay_dagster.automation.day_assets import DEFAULT, DayAsset, day_assets
from imgrelay_dagster.automation.manifest_locations import describe_locations
from imgrelay_dagster.automation.partitions import (
    describe,
    partitions,
    schedule_cron,
    scheduled_period,
    time_zone,
)
from imgrelay_dagster.defs.jobs import jobs_by_asset
from imgrelay_dagster.resources import StoresResource


def make_schedule(asset: DayAsset, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """The schedule that relays a daily asset by its job."""

    @dg.schedule(
        name=asset.schedule_name,
        job=job,
        cron_schedule=schedule_cron(),
        execution_timezone=time_zone().key,
        description=(
            "Relays the manifest of yesterday (or of today: IMGRELAY_DROP_DAY) every day at IMGRELAY_DROP_AT; with "
            "IMGRELAY_PARTITIONS, that of the last hour or week. Skips a day without a manifest; sensor late_manifests "
            "relays it when it arrives."
        ),
    )
    def schedule(context: dg.ScheduleEvaluationContext, stores: StoresResource) -> dg.RunRequest | dg.SkipReason:
        """Request a run for the period that the schedule relays at this tick, or skip one without a manifest."""
        period = scheduled_period(context.scheduled_execution_time)
        if not partitions.has_partition_key(period):
            return dg.SkipReason(f"{describe(period)} is before the first day (IMGRELAY_FIRST_DAY)")
        manifest = find_and_record(context.instance, period, stores, asset)
        if manifest is None:
            locations = describe_locations(period, asset.manifests)
            return dg.SkipReason(f"there is no manifest of {describe(period)} yet; looked for {locations}")
        return period_request(period, manifest, asset)

    return schedule


schedules_by_asset = {asset.name: make_schedule(asset, jobs_by_asset[asset.name]) for asset in day_assets()}
daily_drop = schedules_by_asset[DEFAULT.name]
