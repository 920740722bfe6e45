"""The daily assets: the manifest of each day, and the images relayed from it."""

import dagster as dg

from imgrelay_dagster.automation.partitions import daily_partitions
from imgrelay_dagster.defs.graph import day_graph
from imgrelay_dagster.ops.asset_checks import check_specs
from imgrelay_dagster.runs.queries import RELAYED_IMAGES

GROUP = "daily"

daily_manifests = dg.AssetSpec(
    "daily_manifests",
    description="The manifest of each day. Another system writes it; imgrelay finds it and records it here.",
    partitions_def=daily_partitions,
    group_name=GROUP,
)

relayed_images = dg.AssetsDefinition.from_graph(
    day_graph,
    keys_by_input_name={"day_manifest": daily_manifests.key},
    keys_by_output_name={"result": RELAYED_IMAGES},
    partitions_def=daily_partitions,
    group_name=GROUP,
    check_specs=check_specs(daily_partitions),
    descriptions_by_output_name={
        "result": "The images of each day's manifest with the template laid over them, in the destination. "
        "Materializing a day again relays only the entries that are left."
    },
)
"""One partition for each day and one run for each partition, so that the counts of a run belong to one day."""
