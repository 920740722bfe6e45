"""The days of daily drops: which there are, where the manifest of each lies, and which dataset it is kept as."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta

import dagster as dg
from obstore.store import ObjectStore

from imgrelay_dagster.config.allowed_paths import local_path_allowed, manifest_folders
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.sources import Found, find_manifest
from imgrelay_dagster.relay.storage.stores import absolute

DEFAULT_FIRST_DAY = "2026-01-01"
DEFAULT_DROP_AT = "06:00"
DEFAULT_PATTERN = "{day}"

SUFFIXES = tuple(f".{name}{packed}" for name in ("txt", "csv", "jsonl", "ndjson") for packed in ("", ".gz"))
"""What a manifest's name may end in."""


def first_day() -> str:
    """The first partition: `$IMGRELAY_FIRST_DAY`, as 2026-01-01.

    Raises:
        RelayError: it is no date.
    """
    given = os.environ.get("IMGRELAY_FIRST_DAY") or DEFAULT_FIRST_DAY
    try:
        return date.fromisoformat(given).isoformat()
    except ValueError as error:
        raise RelayError(f"IMGRELAY_FIRST_DAY {given!r} is no date; write it as {DEFAULT_FIRST_DAY}") from error


def drop_time() -> time:
    """When a day's manifest is asked for, in UTC: `$IMGRELAY_DROP_AT`, as 06:00.

    Raises:
        RelayError: it is no time of day.
    """
    given = os.environ.get("IMGRELAY_DROP_AT") or DEFAULT_DROP_AT
    try:
        return datetime.strptime(given, "%H:%M").time()
    except ValueError as error:
        raise RelayError(f"IMGRELAY_DROP_AT {given!r} is no time of day; write it as {DEFAULT_DROP_AT}") from error


def days_back() -> int:
    """Which day is asked for then: 1 for yesterday, 0 for today; `$IMGRELAY_DROP_DAY`, `yesterday` or `today`.

    Raises:
        RelayError: it is neither.
    """
    given = os.environ.get("IMGRELAY_DROP_DAY") or "yesterday"
    if given not in ("yesterday", "today"):
        raise RelayError(f"IMGRELAY_DROP_DAY {given!r} is neither yesterday nor today")
    return int(given == "yesterday")


days = dg.DailyPartitionsDefinition(start_date=first_day(), end_offset=1 - days_back())
"""One partition a day, from the first one to yesterday (UTC), or to today where that is asked for."""


def drop_day(at: datetime) -> str:
    """The day that is asked for at this moment (UTC)."""
    return (at.date() - timedelta(days=days_back())).isoformat()


def due_days(now: datetime, most: int) -> list[str]:
    """The latest days whose manifest has been asked for by now (UTC), at most so many, the latest first."""
    latest = now.date() if now.time() >= drop_time() else now.date() - timedelta(days=1)
    asked = [latest - timedelta(days=days_back() + number) for number in range(most)]
    return [day.isoformat() for day in asked if day.isoformat() >= first_day()]


def day_dataset(day: str) -> str:
    """The dataset of a day: its results, receipts and lock are kept apart from any other day's."""
    return f"daily-{day}"


def day_manifests(day: str) -> list[str]:
    """The addresses at which the day's manifest may lie.

    `$IMGRELAY_MANIFEST_PATTERN` is a name below `$IMGRELAY_MANIFESTS` with the day in it: `{day}` for 2026-11-23, or
    its parts as in `{day:%Y/%m/%d}`. One that ends in a manifest's suffix is a single address; one that leaves the
    suffix open stands for all of them.

    Raises:
        RelayError: the pattern names no day, or leads out of the manifest folder.
    """
    pattern = os.environ.get("IMGRELAY_MANIFEST_PATTERN") or DEFAULT_PATTERN
    try:
        name, other = (pattern.format(day=date.fromisoformat(given)) for given in (day, "0001-01-01"))
    except (LookupError, ValueError, AttributeError) as error:
        raise RelayError(f"IMGRELAY_MANIFEST_PATTERN {pattern!r} cannot be read: {error}; {_PATTERNS}") from error
    if name == other:
        raise RelayError(f"IMGRELAY_MANIFEST_PATTERN {pattern!r} is the same for every day; {_PATTERNS}")
    place = absolute(manifest_folders()[0])
    names = [name] if name.lower().endswith(SUFFIXES) else [name + suffix for suffix in SUFFIXES]
    addresses = [f"{place}/{name}" for name in names]
    for address in addresses:
        local_path_allowed("manifest", address, [place])
    return addresses


_PATTERNS = "write a name with {day} in it, such as {day}.csv or {day:%Y/%m/%d}/images.jsonl.gz"


def find_day(day: str, open_place: Callable[[str], ObjectStore]) -> Found | None:
    """The day's manifest, or None when there is none yet.

    Raises:
        RelayError: there is more than one; or the place cannot be asked.
    """
    with ThreadPoolExecutor(len(SUFFIXES)) as threads:
        found = [
            there
            for there in threads.map(lambda address: find_manifest(address, open_place), day_manifests(day))
            if there
        ]
    if len(found) > 1:
        names = " and ".join(there.address for there in found)
        raise RelayError(f"day {day} has more than one manifest: {names}; leave one of them")
    return found[0] if found else None


def where(day: str) -> str:
    """Where the day's manifest is looked for, in words."""
    first, *others = day_manifests(day)
    if not others:
        return first
    return f"{first.removesuffix(SUFFIXES[0])} with {', '.join(SUFFIXES)}"
