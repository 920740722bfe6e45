"""The daily partitions: the addresses of a day's manifest, and the days that are due."""

from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path

import pytest

from imgrelay_dagster.automation.late_manifests import late_days
from imgrelay_dagster.automation.manifest_locations import (
    describe_locations,
    find_period_manifest,
    manifest_addresses,
)
from imgrelay_dagster.automation.partitions import (
    due_periods,
    first_day,
    make_partitions,
    period_dataset,
    schedule_cron,
    schedule_offset,
    schedule_time,
    scheduled_period,
    time_zone,
)
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.dataset_names import check_dataset
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from tests.support.day_manifests import DAY, NOW, write_manifest

pytestmark = pytest.mark.usefixtures("manifests")


def test_a_pattern_without_a_suffix_matches_every_kind_of_manifest(manifests: Path, stores: StoresResource):
    assert find_period_manifest(DAY, partial(stores.open, policy=INTERACTIVE)) is None
    for suffix in (".txt", ".csv.gz", ".ndjson"):
        path = write_manifest(manifests, DAY + suffix)
        found = find_period_manifest(DAY, partial(stores.open, policy=INTERACTIVE))
        assert found is not None
        assert (found.address, found.size) == (str(path), 15)
        path.unlink()
    assert describe_locations(DAY).startswith(f"{manifests}/{DAY} with .txt, .txt.gz, .txt.zst, .csv, ")


def test_two_manifests_of_one_day_are_refused(manifests: Path, stores: StoresResource):
    write_manifest(manifests, f"{DAY}.txt")
    write_manifest(manifests, f"{DAY}.csv")
    with pytest.raises(RelayError, match=rf"day {DAY} has more than one manifest: .*{DAY}.txt and .*{DAY}.csv; leave"):
        find_period_manifest(DAY, partial(stores.open, policy=INTERACTIVE))


def test_the_pattern_may_name_folders_and_the_suffix(manifests: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_MANIFEST_PATTERN", "{day:%Y/%m/%d}/images.csv.gz")
    assert manifest_addresses(DAY) == [f"{manifests}/2026/11/23/images.csv.gz"]
    assert describe_locations(DAY) == f"{manifests}/2026/11/23/images.csv.gz"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MANIFEST_PATTERN", "images.csv", "'images.csv' is the same for every day; write a name with {day} in it"),
        ("MANIFEST_PATTERN", "{date}.csv", "'{date}.csv' cannot be read: 'date'; write a name with {day} in it"),
        ("MANIFEST_PATTERN", "{day", "cannot be read"),
        ("MANIFEST_PATTERN", "../{day}.csv", "lies outside the folders that runs may use"),
        ("FIRST_DAY", "1.1.2026", "IMGRELAY_FIRST_DAY '1.1.2026' is not a date such as 2026-01-01"),
        ("DROP_AT", "6", "IMGRELAY_DROP_AT '6' is not a time of day such as 06:00"),
        ("DROP_DAY", "tomorrow", "IMGRELAY_DROP_DAY 'tomorrow' is not one of yesterday, today, previous, current"),
        ("LATE_DAYS", "0", "IMGRELAY_LATE_DAYS '0' is not a whole number from 1 to 366"),
    ],
)
def test_invalid_settings_are_named(name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"IMGRELAY_{name}", value)
    with pytest.raises(RelayError) as refused:
        manifest_addresses(DAY), first_day(), schedule_time(), schedule_offset(), late_days()
    assert message in str(refused.value)


def test_a_day_is_due_after_the_schedules_tick(monkeypatch: pytest.MonkeyPatch):
    assert scheduled_period(NOW) == "2026-11-23"
    assert due_periods(NOW.replace(hour=5), 2) == ["2026-11-22", "2026-11-21"]
    assert due_periods(NOW.replace(hour=6), 2) == ["2026-11-23", "2026-11-22"]
    monkeypatch.setenv("IMGRELAY_DROP_DAY", "today")
    monkeypatch.setenv("IMGRELAY_DROP_AT", "18:30")
    assert scheduled_period(NOW) == "2026-11-24"
    assert due_periods(NOW, 2) == ["2026-11-23", "2026-11-22"]
    assert due_periods(NOW.replace(hour=19), 1) == ["2026-11-24"]
    monkeypatch.setenv("IMGRELAY_FIRST_DAY", "2026-11-22")
    assert due_periods(NOW, 31) == ["2026-11-23", "2026-11-22"]


@pytest.mark.parametrize(
    ("zone", "first", "last", "midnight"),
    [
        ("Europe/Berlin", "2026-03-28", "2026-03-31", "2026-03-29T22:00"),  # a day of 23 hours
        ("Europe/Berlin", "2026-10-24", "2026-10-27", "2026-10-25T23:00"),  # a day of 25 hours
        ("Africa/Cairo", "2026-04-23", "2026-04-26", "2026-04-24T21:00"),  # a day without midnight
        ("America/Sao_Paulo", "2018-11-03", "2018-11-06", "2018-11-05T02:00"),
        ("Australia/Lord_Howe", "2026-04-04", "2026-04-07", "2026-04-05T13:30"),  # half an hour
        ("Pacific/Kiritimati", "2026-01-01", "2026-01-04", "2026-01-02T10:00"),  # 14 hours ahead
    ],
)
def test_days_are_those_of_the_time_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str, first: str, last: str, midnight: str
):
    """Every day is one partition, and it is scheduled in its own night, also when the clock changes."""
    monkeypatch.setenv("IMGRELAY_TIMEZONE", zone)
    monkeypatch.setenv("IMGRELAY_FIRST_DAY", first)
    monkeypatch.setenv("IMGRELAY_DROP_AT", "00:00")
    partitions = make_partitions()
    beginning = date.fromisoformat(first)
    days = [(beginning + timedelta(days=number)).isoformat() for number in range(3)]
    assert partitions.get_partition_keys(datetime.fromisoformat(f"{last}T12:00+00:00"))[:3] == days
    at = datetime.fromisoformat(f"{midnight}+00:00")  # the midnight at which the third day begins
    assert (scheduled_period(at), scheduled_period(at - timedelta(seconds=1))) == (days[1], days[0])
    assert due_periods(at, 2) == [days[1], days[0]]
    assert due_periods(at - timedelta(seconds=1), 1) == [days[0]]


@pytest.mark.parametrize(
    ("zone", "day", "hours", "special"),
    [
        ("Europe/Berlin", "2026-03-29", 23, "02:00 is missing"),
        ("Europe/Berlin", "2026-10-25", 25, "2026-10-25-02:00+0100"),
        ("Africa/Cairo", "2026-04-24", 23, "00:00 is missing"),
        ("America/New_York", "2026-11-01", 25, "2026-11-01-01:00-0500"),
    ],
)
def test_every_hour_of_a_day_has_one_partition_manifest_and_dataset(
    monkeypatch: pytest.MonkeyPatch, manifests: Path, zone: str, day: str, hours: int, special: str
):
    for name, value in {"PARTITIONS": "hourly", "TIMEZONE": zone, "FIRST_DAY": day, "DROP_AT": "00:10"}.items():
        monkeypatch.setenv(f"IMGRELAY_{name}", value)
    midnight = datetime.combine(date.fromisoformat(day), time(), time_zone())
    next_tick = datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(0, 10), time_zone())
    keys = due_periods(next_tick, 100)
    assert len(keys) == hours
    assert keys[0] == f"{day}-23:00" == scheduled_period(next_tick)
    assert keys == make_partitions().get_partition_keys(next_tick)[::-1]
    if special.endswith("is missing"):
        assert f"{day}-{special[:5]}" not in keys
    else:
        assert special in keys
    addresses = [manifest_addresses(key) for key in keys]
    assert len({address for each in addresses for address in each}) == sum(map(len, addresses))
    datasets = [period_dataset(key) for key in keys]
    assert len(set(datasets)) == hours
    for dataset in datasets:
        check_dataset(dataset)
    ticks = [midnight.astimezone(UTC) + timedelta(hours=number, minutes=10) for number in range(1, hours + 1)]
    assert [scheduled_period(tick) for tick in ticks] == keys[::-1]


def test_a_week_begins_on_monday_and_is_relayed_on_the_next_one(monkeypatch: pytest.MonkeyPatch, manifests: Path):
    monkeypatch.setenv("IMGRELAY_PARTITIONS", "weekly")
    monkeypatch.setenv("IMGRELAY_TIMEZONE", "Europe/Berlin")
    monkeypatch.setenv("IMGRELAY_FIRST_DAY", "2026-10-01")  # a Thursday
    assert schedule_cron() == "0 6 * * 1"
    tick = datetime(2026, 10, 26, 5, tzinfo=UTC)  # 06:00, after the clock was set back
    assert due_periods(tick, 9) == ["2026-10-19", "2026-10-12", "2026-10-05"]
    assert due_periods(tick - timedelta(seconds=1), 9) == ["2026-10-12", "2026-10-05"]
    assert scheduled_period(tick) == "2026-10-19"
    assert manifest_addresses("2026-10-19")[0] == f"{manifests}/2026-10-19.txt"
    assert period_dataset("2026-10-19") == "weekly-2026-10-19"
    monkeypatch.setenv("IMGRELAY_DROP_DAY", "current")
    assert scheduled_period(tick) == "2026-10-26"


def test_a_partition_of_another_kind_is_refused_after_a_change(monkeypatch: pytest.MonkeyPatch):
    hour, tuesday = "2026-11-23-14:00", "2026-11-24"
    for kind, key in (("daily", hour), ("weekly", hour), ("weekly", tuesday), ("hourly", tuesday)):
        monkeypatch.setenv("IMGRELAY_PARTITIONS", kind)
        with pytest.raises(RelayError, match=rf"partition '{key}' is not a key of {kind} partitions; IMGRELAY_PART"):
            period_dataset(key)


def test_hourly_partitions_need_a_clock_that_changes_by_whole_hours(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_PARTITIONS", "hourly")
    monkeypatch.setenv("IMGRELAY_TIMEZONE", "Asia/Kolkata")  # half an hour off, but always
    assert make_partitions().get_first_partition_key() == "2026-01-01-00:00"
    monkeypatch.setenv("IMGRELAY_TIMEZONE", "Australia/Lord_Howe")
    with pytest.raises(RelayError, match="'Australia/Lord_Howe' changes its clock by less than an hour"):
        make_partitions()


def test_the_pattern_of_hourly_manifests_names_the_hour(monkeypatch: pytest.MonkeyPatch, manifests: Path):
    monkeypatch.setenv("IMGRELAY_PARTITIONS", "hourly")
    monkeypatch.setenv("IMGRELAY_MANIFEST_PATTERN", "{day:%Y/%m/%d/%H}.csv")
    assert manifest_addresses("2026-11-23-14:00") == [f"{manifests}/2026/11/23/14.csv"]
    monkeypatch.setenv("IMGRELAY_MANIFEST_PATTERN", "{day:%Y-%m-%d}.csv")
    with pytest.raises(RelayError, match="is the same for every hour; write a name with the hour in it"):
        manifest_addresses("2026-11-23-14:00")
