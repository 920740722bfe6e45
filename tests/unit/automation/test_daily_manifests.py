"""A day's manifest: recorded in Dagster, and relayed by the schedule."""

from pathlib import Path

import dagster as dg

from imgrelay_dagster.automation.daily_manifests import DAILY_MANIFESTS, find_and_record
from imgrelay_dagster.automation.day_assets import DayAsset
from imgrelay_dagster.automation.manifest_locations import describe_locations
from imgrelay_dagster.defs.jobs import relay_day
from imgrelay_dagster.defs.schedules import daily_drop, make_schedule
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import DATASET_TAG, MANIFEST_TAG
from tests.support.day_manifests import DAY, NOW, write_manifest


def test_the_schedule_requests_yesterday_or_skips_with_the_reason(manifests: Path, stores: StoresResource):
    def tick() -> dg.RunRequest | dg.SkipReason:
        with (
            dg.instance_for_test() as instance,  # a schedule's context opens its instance itself
            dg.build_schedule_context(instance, scheduled_execution_time=NOW, resources={"stores": stores}) as context,
        ):
            return daily_drop(context)

    skipped = tick()
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == f"there is no manifest of day {DAY} yet; looked for {describe_locations(DAY)}"
    path = write_manifest(manifests, f"{DAY}.txt")
    request = tick()
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == DAY
    assert request.tags[MANIFEST_TAG] == str(path)
    assert request.tags[DATASET_TAG] == f"daily-{DAY}"


def test_a_manifest_is_recorded_once_for_each_version(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    write_manifest(manifests, f"{DAY}.txt")
    for _ in range(2):
        find_and_record(instance, DAY, stores)
    write_manifest(manifests, f"{DAY}.txt", "http://h/another.jpg\n")
    find_and_record(instance, DAY, stores)
    newest, first = instance.fetch_materializations(DAILY_MANIFESTS, limit=5).records
    assert [record.partition_key for record in (newest, first)] == [DAY, DAY]
    assert [record.asset_materialization.metadata["bytes"].value for record in (newest, first)] == [21, 15]


def test_the_schedule_of_another_daily_asset_looks_for_its_own_manifests(manifests: Path, stores: StoresResource):
    asset = DayAsset("thumbnails", manifests="thumbnails/{day}.csv")
    write_manifest(manifests, f"{DAY}.csv")
    path = write_manifest(manifests, f"thumbnails/{DAY}.csv")
    with (
        dg.instance_for_test() as instance,
        dg.build_schedule_context(instance, scheduled_execution_time=NOW, resources={"stores": stores}) as context,
    ):
        request = make_schedule(asset, relay_day)(context)
        recorded = instance.get_latest_materialization_event(dg.AssetKey("thumbnails_manifests"))
    assert isinstance(request, dg.RunRequest)
    assert request.tags[MANIFEST_TAG] == str(path)
    assert request.tags[DATASET_TAG] == f"thumbnails-daily-{DAY}"
    assert recorded is not None
