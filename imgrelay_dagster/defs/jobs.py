"""The jobs: `relay` for a list of images, `relay_day` for a daily partition."""

import dagster as dg

from imgrelay_dagster.config.config_mapping import relay_config_mapping
from imgrelay_dagster.defs.assets import relayed_images
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

relay_day = dg.define_asset_job(
    "relay_day",
    selection=dg.AssetSelection.assets(relayed_images),
    description="Relay one day's manifest: a partition of asset relayed_images.",
    tags=RETRY_TAGS,
)
