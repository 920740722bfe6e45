"""The daily assets: `relayed_images`, and those that the file of profiles adds. Each has lists and datasets of its own.

The file is read once for each code location. Its processes get the entries in `IMGRELAY_DAY_ASSETS`, so that all of
them define the same assets, and no step asks a store for the file.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import dagster as dg

from imgrelay_dagster.automation.partitions import period_dataset
from imgrelay_dagster.config import environment
from imgrelay_dagster.config.asset_entries import checked_entries
from imgrelay_dagster.config.profiles import load_profiles
from imgrelay_dagster.config.s3_access import s3_resource
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.addresses import is_remote
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource, staging_address
from imgrelay_dagster.runs.queries import DAY_JOB, RELAYED_IMAGES, day_asset_names

DEFAULT_NAME = RELAYED_IMAGES.to_python_identifier()

READ_LIMIT = 120.0
"""Seconds to wait for the file of profiles in a store."""


@dataclass(frozen=True)
class DayAsset:
    """One daily asset.

    Attributes:
        name: its name in Dagster.
        profile: the profile of its manifests, unless a launch or a sidecar names another.
        manifests: the pattern of its manifests; None for that of `IMGRELAY_MANIFEST_PATTERN`.
    """

    name: str = DEFAULT_NAME
    profile: str | None = None
    manifests: str | None = None
    description: str | None = None
    owners: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def is_default(self) -> bool:
        """Whether this is `relayed_images`."""
        return self.name == DEFAULT_NAME

    @property
    def key(self) -> dg.AssetKey:
        """The key of the asset."""
        return dg.AssetKey(self.name)

    @property
    def manifests_key(self) -> dg.AssetKey:
        """The key of the asset that shows the manifests."""
        return dg.AssetKey("daily_manifests" if self.manifests is None else f"{self.name}_manifests")

    @property
    def job_name(self) -> str:
        """The name of the job that relays one period."""
        return DAY_JOB if self.is_default else f"{DAY_JOB}_{self.name}"

    @property
    def schedule_name(self) -> str:
        """The name of the schedule."""
        return "daily_drop" if self.is_default else f"daily_drop_{self.name}"

    def dataset(self, period: str) -> str:
        """The dataset of a period."""
        return period_dataset(period) if self.is_default else f"{self.name}-{period_dataset(period)}"

    def label(self, period: str) -> str:
        """A short text that identifies the period of this asset, for run keys and cursors."""
        return self.dataset(period).removeprefix("daily-")


DEFAULT = DayAsset()


@cache
def day_assets() -> tuple[DayAsset, ...]:
    """All daily assets, `relayed_images` first.

    Raises:
        RelayError: the file of profiles cannot be read or is not valid.
    """
    address = environment.PROFILES.get()
    if not address:
        return (DEFAULT,)
    known = environment.DAY_ASSETS.get()
    entries = known[1] if known is not None and known[0] == address else json.dumps(_read_entries(address))
    environment.DAY_ASSETS.set(json.dumps([address, entries]))
    found = {entry["name"]: _asset(entry) for entry in json.loads(entries)}
    return (found.pop(DEFAULT_NAME, DEFAULT), *found.values())


def find_day_asset(name: str) -> DayAsset:
    """The daily asset of this name.

    Raises:
        RelayError: there is none any more.
    """
    for asset in day_assets():
        if asset.name == name:
            return asset
    raise RelayError(f"there is no daily asset {name!r}; the file of profiles does not name it")


def asset_of_run(run: dg.DagsterRun) -> DayAsset | None:
    """The daily asset that a run relays; None for a run of job `relay`, and if the asset is gone."""
    names = day_asset_names(run)
    return next((asset for asset in day_assets() if asset.name in names), None)


def _asset(entry: dict[str, Any]) -> DayAsset:
    lists = {name: tuple(entry.get(name, ())) for name in ("owners", "kinds")}
    return DayAsset(**{**entry, **lists, "tags": tuple(entry.get("tags", {}).items())})


def _read_entries(address: str) -> list[dict[str, Any]]:
    if not is_remote(address):
        return _load_entries()
    # In a process of its own: this one may fork its steps later, and a store's client leaves threads behind.
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=READ_LIMIT, check=False)  # nosec B603
    if done.returncode:
        raise RelayError(done.stderr.strip().rpartition("\n")[2] or f"{address!r} cannot be read")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _load_entries() -> list[dict[str, Any]]:
    stores = StoresResource(s3=s3_resource(), staging_address=staging_address())
    return checked_entries(load_profiles(lambda address: stores.open(address, INTERACTIVE)))


if __name__ == "__main__":
    try:
        print(json.dumps(_load_entries()))  # noqa: T201 - for the process that started this one
    except RelayError as error:
        sys.exit(str(error))
