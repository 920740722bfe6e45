"""The profile of a run: applied in op `plan`, so that every way to launch a manifest gives it the same settings."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg

from imgrelay_dagster.automation.manifest_locations import find_period_manifest
from imgrelay_dagster.config.profiles import APPLIED, changed_values, choose, merge, with_values
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.ops.step import day_asset_of, partition_of
from imgrelay_dagster.relay.records.dataset_form import read_form
from imgrelay_dagster.relay.records.layout import dataset_of_failed_file
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import AUTOMATIC_TAGS, MANIFEST_TAG, PROFILE_TAG

_OF_ONE_LAUNCH = {"destination", "max_entries_per_run", "urls_per_task", "retry_permanent", "retry_reasons"}
"""Values that do not decide what an image looks like or where it is stored."""


@dataclass(frozen=True)
class ProfiledConfig:
    """A run config with its profile applied, and the values that differ from the defaults."""

    config: RelayConfig
    values: dict[str, Any]
    profile: str | None = None

    @property
    def remembered(self) -> dict[str, Any]:
        """The values that a later launch of the same dataset takes, if it gives none."""
        return {name: value for name, value in self.values.items() if name not in _OF_ONE_LAUNCH}

    @property
    def tags(self) -> dict[str, str]:
        """The run tag that names the profile."""
        return {} if self.profile is None else {PROFILE_TAG: self.profile}


def apply_profile(context: dg.OpExecutionContext, config: RelayConfig, stores: StoresResource) -> ProfiledConfig:
    """Apply the profile of a run's manifest, with the run config's own values over it.

    A launch by a sensor, a schedule or a backfill, and one of a `failed.jsonl`, that gives no settings and has no
    profile takes the settings with which its dataset was last relayed.

    Raises:
        RelayError: there is no such profile, or a setting in it is not valid.
    """
    values = changed_values(config)
    if config.profile is not None and config.profile.startswith(APPLIED):
        return ProfiledConfig(config, values, config.profile.removeprefix(APPLIED) or None)
    open_store = partial(stores.open, policy=INTERACTIVE)
    asset, period = day_asset_of(context), partition_of(context)
    manifest = config.manifest or context.run.tags.get(MANIFEST_TAG)
    if manifest is None and asset is not None and period is not None:
        found = find_period_manifest(period, open_store, asset.manifests)
        manifest = None if found is None else found.address
    chosen = choose(
        config.profile,
        manifest,
        open_store,
        asset=None if asset is None else asset.name,
        asset_profile=None if asset is None else asset.profile,
    )
    if chosen is not None:
        values = merge(chosen.values, values)
        return ProfiledConfig(with_values(config, values), values, chosen.name)
    if config.profile is None and not values and _keeps_settings(context.run, manifest):
        dataset = config.dataset if asset is None or period is None else asset.dataset(period)
        assert config.destination is not None
        values = read_form(open_store(config.destination), dataset or "")
        if values:
            context.log.info(f"using the settings with which dataset {dataset} was last relayed: {values}")
            return ProfiledConfig(with_values(config, values), values)
    return ProfiledConfig(config, values)


def _keeps_settings(run: dg.DagsterRun, manifest: str | None) -> bool:
    is_automatic = any(tag in run.tags for tag in AUTOMATIC_TAGS)
    return is_automatic or (manifest is not None and dataset_of_failed_file(manifest) is not None)
