"""A rewritten manifest keeps the settings of its dataset, whoever launches it."""

import os
import time
from pathlib import Path

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.e2e.conftest import day_before, own_days
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.list_files import write_list
from tests.support.ui import (
    backfill,
    materialize,
    runs_tagged,
    schedule_ticks,
    start_sensor,
    stop_schedule,
    stop_sensor,
    wait_for_backfill,
)

pytestmark = pytest.mark.timeout(900)


COLUMNS = {"url": "Picture"}


def drop(path: Path, origin: Origin, name: str, count: int) -> None:
    write_list(path, [origin.url(f"jpeg/small-dawn.jpg?{name}-{number}") for number in range(count)])
    os.utime(path, (time.time() - 60,) * 2)


def test_a_rewritten_day_is_relayed_with_the_settings_of_its_first_run(served: DagsterServers, origin: Origin):
    (day,) = own_days(1)
    path = served.manifests / f"{day}.parquet"
    drop(path, origin, day, 3)
    settings = {
        "template": "badge.png",
        "layout": {"mode": "watermark"},
        "output": {"format": "png"},
        "columns": COLUMNS,
        "carry": ["sku"],
    }
    first = materialize(served, day, settings)
    assert served.wait_for(first) == "SUCCESS", served.why(first)
    drop(path, origin, day, 4)
    wait_for_backfill(served, backfill(served, [day]))
    again, *_ = runs_tagged(served, dagster__partition=day)
    assert again != first
    assert served.wait_for(again) == "SUCCESS", served.why(again)
    assert (served.summary(again)["unchanged"], served.summary(again)["uploaded"]) == (3, 1)
    results = served.results(again)
    assert {result["key"].rpartition(".")[2] for result in results} == {"png"}
    assert [result["carried"] for result in results] == [{"sku": f"S{number}"} for number in range(1, 5)]


def test_sidecars_in_the_inbox_decide_the_settings_of_lists_of_any_format(served: DagsterServers, origin: Origin):
    inbox = served.home.parent / "inbox"
    names = [f"beside-{suffix}.{suffix}" for suffix in ("xlsx", "json", "tsv")]
    start_sensor(served, "inbox")
    try:
        for name in names:
            sidecar = "{output: {format: webp}, columns: {url: Picture}, carry: all}\n"
            (inbox / name).with_suffix(".yaml").write_text(sidecar)
            drop(inbox / name, origin, name, 2)
        for name in names:
            dataset = Path(name).stem
            (run_id,) = until(
                lambda dataset=dataset: list(runs_tagged(served, imgrelay__dataset=dataset)), 120, f"{name} has a run"
            )
            assert served.wait_for(run_id) == "SUCCESS", served.why(run_id)
            results = served.results(run_id)
            assert {result["key"].rpartition(".")[2] for result in results} == {"webp"}
            assert [result["carried"] for result in results] == [{"Sku": "S1"}, {"Sku": "S2"}]
    finally:
        stop_sensor(served, "inbox")


_ASSET = """
query Asset($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      description kinds tags { key value } owners { ... on UserAssetOwner { email } ... on TeamAssetOwner { team } }
      assetChecksOrError { ... on AssetChecks { checks { name } } }
    }
  }
}
"""


def test_a_daily_asset_of_a_profile_has_lists_datasets_settings_and_sensor_of_its_own(
    served: DagsterServers, origin: Origin
):
    """Its images and those of `relayed_images` come from the same URLs, and neither replaces the other's."""
    shown = served.ask(_ASSET, key={"path": ["thumbnails"]})["assetNodeOrError"]
    assert shown == {
        "description": "Small pictures for the shop.",
        "kinds": ["webp"],
        "tags": [{"key": "dagster/kind/webp", "value": ""}, {"key": "domain", "value": "catalog"}],
        "owners": [{"team": "catalog"}, {"email": "anna@example.com"}],
        "assetChecksOrError": {"checks": [{"name": "destination_holds_results"}, {"name": "failed_entries"}]},
    }
    (day,) = own_days(1)
    for name in (f"{day}.txt", f"thumbnails/{day}.txt"):
        served.write_manifest(name, [origin.url(f"jpeg/small-dawn.jpg?{day}-{number}") for number in range(2)])
    assert wait_for_backfill(served, backfill(served, [day], "thumbnails")) == "COMPLETED_SUCCESS"
    (thumbnails,) = runs_tagged(served, dagster__partition=day)
    images = materialize(served, day)
    assert served.wait_for(images) == "SUCCESS", served.why(images)
    assert served.summary(images)["dataset"] == f"daily-{day}"
    assert (served.summary(thumbnails)["dataset"], served.tags(thumbnails)["imgrelay/profile"]) == (
        f"thumbnails-daily-{day}",
        "small",
    )
    for run_id, suffix in ((thumbnails, "webp"), (images, "jpg")):
        results = served.results(run_id)
        assert [(each["outcome"], each["key"].rpartition(".")[2]) for each in results] == [("uploaded", suffix)] * 2
    both = materialize(served, day, assets=("relayed_images", "thumbnails"))
    assert served.wait_for(both) == "FAILURE"
    assert served.failure(both) == (
        "a run relays one daily asset, not relayed_images and thumbnails; launch each of them by itself"
    )

    late = day_before(6)
    path = served.manifests / served.write_manifest(f"thumbnails/{late}.txt", [origin.url("jpeg/small-dawn.jpg")])
    os.utime(path, (time.time() - 60,) * 2)
    start_sensor(served, "late_manifests")
    try:
        (run_id,) = until(
            lambda: list(runs_tagged(served, imgrelay__dataset=f"thumbnails-daily-{late}")), 120, "the day has a run"
        )
    finally:
        stop_sensor(served, "late_manifests")
    assert served.wait_for(run_id) == "SUCCESS", served.why(run_id)
    run = served.dagster.get_run_by_id(run_id)
    assert run is not None
    assert run.job_name == "relay_day_thumbnails"


def test_the_schedule_of_a_daily_asset_of_a_profile_relays_yesterday(served: DagsterServers):
    def requested() -> list[str]:
        ticks = [tick for tick in schedule_ticks(served, "daily_drop_thumbnails") if tick["status"] == "SUCCESS"]
        return ticks[0]["runIds"] if ticks else []

    (run_id,) = until(requested, 300, "the schedule's hour has come")
    stop_schedule(served, "daily_drop_thumbnails")
    assert served.wait_for(run_id) == "SUCCESS", served.why(run_id)
    tags = served.tags(run_id)
    day = tags["dagster/partition"]
    assert day in (day_before(1), day_before(0))
    assert (tags["dagster/schedule_name"], tags["imgrelay/profile"]) == ("daily_drop_thumbnails", "small")
    assert served.summary(run_id)["dataset"] == f"thumbnails-daily-{day}"
    (result,) = served.results(run_id)
    assert result["outcome"] in ("uploaded", "unchanged")  # sensor late_manifests may have been faster
    assert result["key"].startswith("small/")
    assert result["key"].endswith(".webp")
