"""The days of daily drops: which there are, where the manifest of each lies, and which dataset it is kept as."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import dagster as dg
from obstore.store import ObjectStore

from imgrelay_dagster.paths import local_path_allowed, manifest_folders
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.sources import Found, find_manifest
from imgrelay_dagster.relay.stores import absolute

DEFAULT_FIRST_DAY = "2026-01-01"
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


days = dg.DailyPartitionsDefinition(start_date=first_day())
"""One partition a day, from the first one to yesterday (UTC)."""


def day_dataset(day: str) -> str:
    """The dataset of a day: its results, receipts and lock are kept apart from any other day's."""
    return f"daily-{day}"


def day_manifests(day: str) -> list[str]:
    """The addresses at which the day's manifest may lie.

    `$IMGRELAY_MANIFEST_PATTERN` is a name below `$IMGRELAY_MANIFESTS` with `{day}` (2026-11-23) or a part of it
    (`{day:%Y/%m/%d}`). One that ends in a manifest's suffix is a single address; one that leaves the suffix open stands
    for all of them.
    """
    pattern = os.environ.get("IMGRELAY_MANIFEST_PATTERN") or DEFAULT_PATTERN
    name = pattern.format(day=date.fromisoformat(day))
    place = absolute(manifest_folders()[0])
    names = [name] if name.lower().endswith(SUFFIXES) else [name + suffix for suffix in SUFFIXES]
    addresses = [f"{place}/{name}" for name in names]
    for address in addresses:
        local_path_allowed("manifest", address, manifest_folders())
    return addresses


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
