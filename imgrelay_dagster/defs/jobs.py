"""The jobs: `relay` for a list of images, `relay_day` for a partition of a daily asset."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from imgrelay_dagster.automation.day_assets import DEFAULT, DayAsset, day_assets
from imgrelay_dagster.config.config_mapping import relay_config_mapping
from imgrelay_dagster.defs.assets import images_by_name
from imgrelay_dagster.defs.graph import relay_graph
from imgrelay_dagster.execution.executors import relay_executor
from imgrelay_dagster.runs.tags import RETRY_TAGS

relay = relay_graph.to_job(
    name="relay",
    description=(
        "Relay a list of images: download each, lay the template over it, store the result. "
        "Give the list in the Launchpad as manifest, url_lines or urls. Launching the same list again relays only the "
        "entries that are left."
    ),
    config=relay_config_mapping,
    executor_def=relay_executor,
    tags=RETRY_TAGS,
)


def _day_job(asset: DayAsset) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        asset.job_name,
        selection=dg.AssetSelection.assets(images_by_name[asset.name]),
        description=f"Relay one day's manifest: a partition of asset {asset.name}.",
        tags=RETRY_TAGS,
    )


jobs_by_asset = {asset.name: _day_job(asset) for asset in day_assets()}
relay_day = jobs_by_asset[DEFAULT.name]
day_jobs = list(jobs_by_asset.values())
