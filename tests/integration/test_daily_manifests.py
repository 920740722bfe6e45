"""Daily manifests in a real S3 server, and a day whose run fails with a real image origin."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType

from imgrelay_dagster.automation.day_assets import day_assets
from imgrelay_dagster.defs.assets import relayed_images
from imgrelay_dagster.defs.jobs import relay_day
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.resources import build_resources
from imgrelay_dagster.runs.tags import MANIFEST_TAG, VERSION_TAG
from tests.support.day_manifests import DAY, create_run, scan, write_manifest


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("IMGRELAY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_manifests_are_found_in_s3(seaweed: SeaweedFS, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch):
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    seaweed.create_bucket("daily")
    stores = build_resources()["stores"]
    monkeypatch.setenv("IMGRELAY_MANIFESTS", "s3://daily/in")
    assert scan(instance, stores).notes == []
    seaweed.client().put_object(Bucket="daily", Key=f"in/{DAY}.jsonl.gz", Body=b"one")
    (request,) = scan(instance, stores).requests
    assert request.tags[MANIFEST_TAG] == f"s3://daily/in/{DAY}.jsonl.gz"
    create_run(instance, request, DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS)
    assert scan(instance, stores).requests == []
    seaweed.client().put_object(Bucket="daily", Key=f"in/{DAY}.jsonl.gz", Body=b"two")
    (again,) = scan(instance, stores).requests
    assert again.tags[VERSION_TAG] != request.tags[VERSION_TAG]


def test_daily_assets_are_read_from_a_file_of_profiles_in_a_store(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch):
    """By another process: a store's client would leave threads in one that forks its steps."""
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    seaweed.create_bucket("settings")
    monkeypatch.setenv("IMGRELAY_PROFILES", "s3://settings/profiles.yaml")
    monkeypatch.setenv("IMGRELAY_DAY_ASSETS", "")

    def read(text: str) -> list[str]:
        seaweed.client().put_object(Bucket="settings", Key="profiles.yaml", Body=text.encode())
        day_assets.cache_clear()
        return [asset.name for asset in day_assets()]

    try:
        with pytest.raises(RelayError, match="asset 'a b': use another name"):
            read("assets: [{name: a b}]")
        assert read("assets: [{name: thumbnails}]") == ["relayed_images", "thumbnails"]
        assert read("") == ["relayed_images", "thumbnails"]  # the code location has read it already
    finally:
        day_assets.cache_clear()


def test_a_day_with_too_many_failures_is_not_materialized_but_shows_its_counts(
    tmp_path: Path,
    origin: Origin,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
):
    for name, folder in (("DESTINATION", "out"), ("STAGING", "staging"), ("MANIFESTS", "manifests")):
        monkeypatch.setenv(f"IMGRELAY_{name}", str(tmp_path / folder))
    monkeypatch.setenv("IMGRELAY_ALLOWED_HOSTS", "127.0.0.1")
    urls = [origin.url("jpeg/small-dawn.jpg"), origin.url("missing.jpg")]
    rows = "".join(f"S{number}\t{url}\n" for number, url in enumerate(urls))
    write_manifest(tmp_path / "manifests", f"{DAY}.tsv", f"Sku\tPicture\n{rows}")
    config = {"columns": {"url": "Picture"}, "carry": "sku"}
    job = dg.Definitions(assets=[relayed_images], jobs=[relay_day], resources=build_resources())
    done = job.resolve_job_def("relay_day").execute_in_process(
        instance=instance,
        partition_key=DAY,
        raise_on_error=False,
        run_config={"ops": {"relayed_images": {"config": config}}},
    )
    assert not done.success
    key = dg.AssetKey("relayed_images")
    assert instance.fetch_materializations(key, limit=1).records == []
    (observation,) = instance.fetch_observations(key, limit=5).records
    assert observation.partition_key == DAY
    assert observation.asset_observation is not None
    counts = {name: observation.asset_observation.metadata[name].value for name in ("entries", "uploaded", "failed")}
    assert counts == {"entries": 2, "uploaded": 1, "failed": 1}
    table = observation.asset_observation.metadata["failed_entries"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [column.name for column in table.schema.columns] == ["line", "key", "sku", "reason"]
    assert [(row.data["line"], row.data["sku"], row.data["reason"]) for row in table.records] == [
        ("3", "S1", "http_status")
    ]
