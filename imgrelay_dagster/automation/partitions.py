"""The daily partitions: which days exist, where the manifest of each day is, and the name of its dataset."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
from obstore.store import ObjectStore

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.allowed_paths import check_local_path, manifest_folders
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.sources import ManifestFile, find_manifest
from imgrelay_dagster.relay.manifest_formats import MANIFEST_SUFFIXES
from imgrelay_dagster.relay.storage.addresses import absolute


def first_day() -> str:
    """The first partition, as 2026-01-01.

    Raises:
        RelayError: `IMGRELAY_FIRST_DAY` is not a date.
    """
    return environment.FIRST_DAY.get().isoformat()


def time_zone() -> ZoneInfo:
    """The time zone that days belong to.

    Raises:
        RelayError: `IMGRELAY_TIMEZONE` is not a time zone.
    """
    return ZoneInfo(environment.TIMEZONE.get())


def schedule_time() -> time:
    """The time of day (in `time_zone`) at which the schedule relays a day's manifest.

    Raises:
        RelayError: `IMGRELAY_DROP_AT` is not a time of day.
    """
    return environment.DROP_AT.get()


def scheduled_day_offset() -> int:
    """The days between the day that the schedule relays and the day of its tick: 1 for yesterday, 0 for today.

    Raises:
        RelayError: `IMGRELAY_DROP_DAY` is neither `yesterday` nor `today`.
    """
    return int(environment.DROP_DAY.get() == "yesterday")


def make_partitions() -> dg.DailyPartitionsDefinition:
    """One partition for each day, as the environment describes the days."""
    return dg.DailyPartitionsDefinition(
        start_date=first_day(), end_offset=1 - scheduled_day_offset(), timezone=time_zone().key
    )


daily_partitions = make_partitions()
"""One partition for each day, from the first day to yesterday, or to today if `$IMGRELAY_DROP_DAY` says so."""


def scheduled_day(at: datetime) -> str:
    """The day that the schedule relays at this time."""
    return (at.astimezone(time_zone()).date() - timedelta(days=scheduled_day_offset())).isoformat()


def due_days(now: datetime, limit: int) -> list[str]:
    """The days that the schedule has relayed by now, latest first, at most `limit` of them."""
    local = now.astimezone(time_zone())
    latest = local.date() if local.time() >= schedule_time() else local.date() - timedelta(days=1)
    days = [latest - timedelta(days=scheduled_day_offset() + number) for number in range(limit)]
    return [day.isoformat() for day in days if day.isoformat() >= first_day()]


def day_dataset(day: str) -> str:
    """The dataset of a day. Each day has its own dataset, so that days share no results, receipts or lock."""
    return f"daily-{day}"


def manifest_addresses(day: str) -> list[str]:
    """The addresses at which the day's manifest may be.

    `$IMGRELAY_MANIFEST_PATTERN` is a name below `$IMGRELAY_MANIFESTS` that contains the day: `{day}` for 2026-11-23, or
    its parts as in `{day:%Y/%m/%d}`. A pattern with a manifest's suffix gives one address; a pattern without one gives
    an address for each suffix.

    Raises:
        RelayError: the pattern does not contain the day, or leads out of the manifest folder.
    """
    pattern = environment.MANIFEST_PATTERN.get()
    try:
        name, other = (pattern.format(day=date.fromisoformat(given)) for given in (day, "0001-01-01"))
    except (LookupError, ValueError, AttributeError) as error:
        raise RelayError(f"IMGRELAY_MANIFEST_PATTERN {pattern!r} cannot be read: {error}; {_PATTERN_HINT}") from error
    if name == other:
        raise RelayError(f"IMGRELAY_MANIFEST_PATTERN {pattern!r} is the same for every day; {_PATTERN_HINT}")
    folder = absolute(manifest_folders()[0])
    names = [name] if name.lower().endswith(MANIFEST_SUFFIXES) else [name + suffix for suffix in MANIFEST_SUFFIXES]
    addresses = [f"{folder}/{name}" for name in names]
    for address in addresses:
        check_local_path("manifest", address, [folder])
    return addresses


_PATTERN_HINT = "write a name with {day} in it, such as {day}.csv or {day:%Y/%m/%d}/images.jsonl.gz"


def find_day_manifest(day: str, open_place: Callable[[str], ObjectStore]) -> ManifestFile | None:
    """Find the day's manifest; None if there is none yet.

    Raises:
        RelayError: the day has more than one manifest, or the manifests cannot be looked up.
    """
    with ThreadPoolExecutor(len(MANIFEST_SUFFIXES)) as threads:
        found = threads.map(lambda address: find_manifest(address, open_place), manifest_addresses(day))
        manifests = [manifest for manifest in found if manifest]
    if len(manifests) > 1:
        names = " and ".join(manifest.address for manifest in manifests)
        raise RelayError(f"day {day} has more than one manifest: {names}; leave one of them")
    return manifests[0] if manifests else None


def describe_locations(day: str) -> str:
    """The addresses at which the day's manifest may be, as text for a message."""
    first, *others = manifest_addresses(day)
    if not others:
        return first
    return f"{first.removesuffix(MANIFEST_SUFFIXES[0])} with {', '.join(MANIFEST_SUFFIXES)}"
