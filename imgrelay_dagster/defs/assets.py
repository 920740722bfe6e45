"""Daily drops as assets: the images relayed from each day's manifest, and those manifests."""

import dagster as dg

from imgrelay_dagster.automation.partitions import days
from imgrelay_dagster.defs.graph import day_graph
from imgrelay_dagster.ops.asset_checks import check_specs
from imgrelay_dagster.runs.queries import RELAYED_IMAGES

GROUP = "daily"

daily_manifests = dg.AssetSpec(
    "daily_manifests",
    description="The manifest of each day, put where imgrelay finds it by somebody else.",
    partitions_def=days,
    group_name=GROUP,
)

relayed_images = dg.AssetsDefinition.from_graph(
    day_graph,
    keys_by_input_name={"day_manifest": daily_manifests.key},
    keys_by_output_name={"result": RELAYED_IMAGES},
    partitions_def=days,
    group_name=GROUP,
    check_specs=check_specs(days),
    descriptions_by_output_name={
        "result": "The images of each day's manifest with the template laid over them, in the destination. "
        "Materializing a day again does only what is left of it."
    },
)
"""One partition a day, one run a partition: a run's counts belong to its day alone."""
