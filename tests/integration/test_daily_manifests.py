"""Daily drops: which days there are, where their manifests lie, which of them are late."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.automation import daily_manifests
from imgrelay_dagster.automation.daily_manifests import MANIFESTS, Late, day_request, find_late, late_days, see_day
from imgrelay_dagster.automation.partitions import (
    day_manifests,
    days_back,
    drop_day,
    drop_time,
    due_days,
    find_day,
    first_day,
    where,
)
from imgrelay_dagster.definitions import defs
from imgrelay_dagster.defs.assets import relayed_images
from imgrelay_dagster.defs.jobs import relay_day
from imgrelay_dagster.defs.schedules import daily_drop
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.stores import INTERACTIVE
from imgrelay_dagster.resources import StoresResource, build_resources
from imgrelay_dagster.runs.tags import DATASET_TAG, MANIFEST_TAG, VERSION_TAG

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY, EARLIER = "2026-11-23", "2026-11-20"


@pytest.fixture(autouse=True)
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("IMGRELAY_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "drops"
    folder.mkdir()
    monkeypatch.setenv("IMGRELAY_MANIFESTS", str(folder))
    return folder


@pytest.fixture
def stores(tmp_path: Path) -> StoresResource:
    return StoresResource(s3=S3Resource(), staging_address=str(tmp_path / "staging"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def drop(folder: Path, name: str, text: str = "http://h/a.jpg\n", age: timedelta = timedelta(hours=1)) -> Path:
    """A manifest last written to so long before NOW."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    written = (NOW - age).timestamp()
    os.utime(path, (written, written))
    return path


def look(instance: dg.DagsterInstance, stores: StoresResource, cursor: str | None = None) -> Late:
    return find_late(instance, stores, cursor, NOW)


def asked(late: Late) -> list[str | None]:
    return [request.partition_key for request in late.requests]


def run_of(instance: dg.DagsterInstance, request: dg.RunRequest, *kinds: DagsterEventType) -> str:
    """The run that a request leads to, as far as these events."""
    tags = {**request.tags, "dagster/partition": request.partition_key}
    run = instance.create_run_for_job(defs.resolve_job_def("relay_day"), tags=tags)
    for kind in kinds:
        instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)
    return run.run_id


def test_a_pattern_without_a_suffix_stands_for_every_kind_of_manifest(manifests: Path, stores: StoresResource):
    assert find_day(DAY, partial(stores.open, policy=INTERACTIVE)) is None
    for suffix in (".txt", ".csv.gz", ".ndjson"):
        path = drop(manifests, DAY + suffix)
        found = find_day(DAY, partial(stores.open, policy=INTERACTIVE))
        assert found is not None
        assert (found.address, found.size) == (str(path), 15)
        path.unlink()
    assert where(DAY).startswith(f"{manifests}/{DAY} with .txt, .txt.gz, .csv")


def test_two_manifests_of_one_day_are_refused(manifests: Path, stores: StoresResource):
    drop(manifests, f"{DAY}.txt")
    drop(manifests, f"{DAY}.csv")
    with pytest.raises(RelayError, match=rf"day {DAY} has more than one manifest: .*{DAY}.txt and .*{DAY}.csv; leave"):
        find_day(DAY, partial(stores.open, policy=INTERACTIVE))


def test_the_pattern_may_name_folders_and_the_suffix(manifests: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_MANIFEST_PATTERN", "{day:%Y/%m/%d}/images.csv.gz")
    assert day_manifests(DAY) == [f"{manifests}/2026/11/23/images.csv.gz"]
    assert where(DAY) == f"{manifests}/2026/11/23/images.csv.gz"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MANIFEST_PATTERN", "images.csv", "'images.csv' is the same for every day; write a name with {day} in it"),
        ("MANIFEST_PATTERN", "{date}.csv", "'{date}.csv' cannot be read: 'date'; write a name with {day} in it"),
        ("MANIFEST_PATTERN", "{day", "cannot be read"),
        ("MANIFEST_PATTERN", "../{day}.csv", "lies outside what runs may use"),
        ("FIRST_DAY", "1.1.2026", "IMGRELAY_FIRST_DAY '1.1.2026' is no date; write it as 2026-01-01"),
        ("DROP_AT", "6", "IMGRELAY_DROP_AT '6' is no time of day; write it as 06:00"),
        ("DROP_DAY", "tomorrow", "IMGRELAY_DROP_DAY 'tomorrow' is neither yesterday nor today"),
        ("LATE_DAYS", "0", "IMGRELAY_LATE_DAYS '0' is no number of days from 1 to 366"),
    ],
)
def test_wrong_settings_are_named(name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"IMGRELAY_{name}", value)
    with pytest.raises(RelayError) as refused:
        day_manifests(DAY), first_day(), drop_time(), days_back(), late_days()
    assert message in str(refused.value)


def test_a_day_is_due_once_it_has_been_asked_for(monkeypatch: pytest.MonkeyPatch):
    assert drop_day(NOW) == "2026-11-23"
    assert due_days(NOW.replace(hour=5), 2) == ["2026-11-22", "2026-11-21"]
    assert due_days(NOW.replace(hour=6), 2) == ["2026-11-23", "2026-11-22"]
    monkeypatch.setenv("IMGRELAY_DROP_DAY", "today")
    monkeypatch.setenv("IMGRELAY_DROP_AT", "18:30")
    assert drop_day(NOW) == "2026-11-24"
    assert due_days(NOW, 2) == ["2026-11-23", "2026-11-22"]
    assert due_days(NOW.replace(hour=19), 1) == ["2026-11-24"]
    monkeypatch.setenv("IMGRELAY_FIRST_DAY", "2026-11-22")
    assert due_days(NOW, 31) == ["2026-11-23", "2026-11-22"]


def test_the_schedule_asks_for_yesterday_or_says_why_not(manifests: Path, stores: StoresResource):
    def tick() -> dg.RunRequest | dg.SkipReason:
        with (
            dg.instance_for_test() as instance,  # a schedule's context opens its instance itself
            dg.build_schedule_context(instance, scheduled_execution_time=NOW, resources={"stores": stores}) as context,
        ):
            return daily_drop(context)

    skipped = tick()
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == f"there is no manifest of day {DAY} yet; looked for {where(DAY)}"
    path = drop(manifests, f"{DAY}.txt")
    request = tick()
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == DAY
    assert request.tags[MANIFEST_TAG] == str(path)
    assert request.tags[DATASET_TAG] == f"daily-{DAY}"


def test_a_manifest_is_recorded_once_for_each_content(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    drop(manifests, f"{DAY}.txt")
    for _ in range(2):
        see_day(instance, DAY, stores)
    drop(manifests, f"{DAY}.txt", "http://h/another.jpg\n")
    see_day(instance, DAY, stores)
    newest, first = instance.fetch_materializations(MANIFESTS, limit=5).records
    assert [record.partition_key for record in (newest, first)] == [DAY, DAY]
    assert [record.asset_materialization.metadata["bytes"].value for record in (newest, first)] == [21, 15]


def test_a_manifest_that_comes_late_is_asked_for_once(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    assert asked(look(instance, stores)) == []
    drop(manifests, f"{EARLIER}.csv")
    late = look(instance, stores)
    assert asked(late) == [EARLIER]
    run_of(instance, late.requests[0], DagsterEventType.RUN_START)
    late = look(instance, stores, late.cursor)
    assert (asked(late), late.notes) == ([], [f"a run of day {EARLIER} is going on"])


@pytest.mark.parametrize("end", [DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE])
def test_a_version_that_was_run_is_not_asked_for_again_and_a_rewritten_one_is(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance, end: DagsterEventType
):
    drop(manifests, f"{DAY}.txt")
    found = see_day(instance, DAY, stores)
    assert found is not None
    run_of(instance, day_request(DAY, found), DagsterEventType.RUN_START, end)  # the schedule's
    late = look(instance, stores)
    assert asked(late) == []
    assert asked(look(instance, stores, late.cursor)) == []
    drop(manifests, f"{DAY}.txt", "http://h/another.jpg\n")
    assert asked(look(instance, stores, late.cursor)) == [DAY]


def test_a_run_that_failed_for_want_of_its_manifest_does_not_stand_in_the_way(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    backfilled = dg.RunRequest(partition_key=DAY)
    run_of(instance, backfilled, DagsterEventType.RUN_START, DagsterEventType.RUN_FAILURE)
    drop(manifests, f"{DAY}.txt")
    assert asked(look(instance, stores)) == [DAY]


def test_a_run_that_was_made_and_never_launched_does_not_stand_in_the_way(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    drop(manifests, f"{DAY}.txt")
    found = see_day(instance, DAY, stores)
    assert found is not None
    run_of(instance, day_request(DAY, found))
    assert asked(look(instance, stores)) == []
    monkeypatch.setattr(daily_manifests, "LAUNCHED", timedelta(days=-3650))
    assert asked(look(instance, stores)) == [DAY]


def test_runs_of_other_jobs_for_the_same_day_do_not_count(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    @dg.job
    def train_model() -> None: ...

    drop(manifests, f"{DAY}.txt")
    run = instance.create_run_for_job(train_model, tags={"dagster/partition": DAY})
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_START.value, run.job_name), run.run_id)
    assert asked(look(instance, stores)) == [DAY]


def test_a_manifest_that_is_being_written_is_waited_for(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    path = drop(manifests, f"{DAY}.txt", age=timedelta(seconds=3))
    late = look(instance, stores)
    assert (asked(late), late.notes) == ([], [f"{path} is being written"])
    drop(manifests, f"{DAY}.txt", age=timedelta(seconds=30))
    assert asked(look(instance, stores, late.cursor)) == [DAY]


def test_what_is_not_due_or_too_old_is_left_alone(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGRELAY_LATE_DAYS", "3")
    for day in ("2026-11-24", "2026-11-20", "2026-11-21"):
        drop(manifests, f"{day}.txt")
    assert asked(look(instance, stores)) == ["2026-11-21"]


def test_a_month_that_comes_at_once_is_asked_for_in_rounds(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    for day in due_days(NOW, 31):
        drop(manifests, f"{day}.txt")
    cursor, seen = None, []
    while (late := look(instance, stores, cursor)).requests:
        assert len(late.requests) <= 5
        for request in late.requests:
            run_of(instance, request, DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS)
        seen += asked(late)
        cursor = late.cursor
    assert seen == due_days(NOW, 31)


def test_a_day_with_two_manifests_does_not_keep_the_others_back(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    for name in (f"{DAY}.txt", f"{DAY}.csv", f"{EARLIER}.txt"):
        drop(manifests, name)
    late = look(instance, stores)
    assert asked(late) == [EARLIER]
    assert late.notes[0].startswith(f"day {DAY} has more than one manifest")


def test_manifests_are_found_in_s3(seaweed: SeaweedFS, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch):
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    seaweed.create_bucket("drops")
    stores = build_resources()["stores"]
    monkeypatch.setenv("IMGRELAY_MANIFESTS", "s3://drops/in")
    assert look(instance, stores).notes == []
    seaweed.client().put_object(Bucket="drops", Key=f"in/{DAY}.jsonl.gz", Body=b"one")
    (request,) = look(instance, stores).requests
    assert request.tags[MANIFEST_TAG] == f"s3://drops/in/{DAY}.jsonl.gz"
    run_of(instance, request, DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS)
    assert look(instance, stores).requests == []
    seaweed.client().put_object(Bucket="drops", Key=f"in/{DAY}.jsonl.gz", Body=b"two")
    (again,) = look(instance, stores).requests
    assert again.tags[VERSION_TAG] != request.tags[VERSION_TAG]


def test_a_day_with_too_many_failures_is_no_done_day_and_shows_its_counts(
    manifests: Path,
    tmp_path: Path,
    origin: Origin,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in (("DESTINATION", str(tmp_path / "out")), ("STAGING", str(tmp_path / "staging"))):
        monkeypatch.setenv(f"IMGRELAY_{name}", value)
    monkeypatch.setenv("IMGRELAY_ALLOWED_HOSTS", "127.0.0.1")
    drop(manifests, f"{DAY}.txt", f"{origin.url('jpeg/small-dawn.jpg')}\n{origin.url('missing.jpg')}\n")
    job = dg.Definitions(assets=[relayed_images], jobs=[relay_day], resources=build_resources())
    done = job.resolve_job_def("relay_day").execute_in_process(
        instance=instance, partition_key=DAY, raise_on_error=False
    )
    assert not done.success
    key = dg.AssetKey("relayed_images")
    assert instance.fetch_materializations(key, limit=1).records == []
    (seen,) = instance.fetch_observations(key, limit=5).records
    assert seen.partition_key == DAY
    assert seen.asset_observation is not None
    told = {name: seen.asset_observation.metadata[name].value for name in ("entries", "uploaded", "failed")}
    assert told == {"entries": 2, "uploaded": 1, "failed": 1}
