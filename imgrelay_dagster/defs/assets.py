"""The daily assets: the manifest of each day, and the images relayed from it."""

import dagster as dg
from dagster._core.storage.tags import KIND_PREFIX

from imgrelay_dagster.automation.partitions import daily_partitions
from imgrelay_dagster.config import environment
from imgrelay_dagster.config.defaults import default_destination
from imgrelay_dagster.defs.graph import day_graph
from imgrelay_dagster.ops.asset_checks import check_specs
from imgrelay_dagster.relay.storage.addresses import scheme_of
from imgrelay_dagster.runs.queries import RELAYED_IMAGES

GROUP = "daily"
OWNERS = list(environment.OWNERS.get_or_default())


def store_kind(address: str) -> str:
    """The kind of an asset that is stored there, in the words for which Dagster's UI has icons."""
    return {"s3": "s3", "gs": "gcs", "az": "azure"}.get(scheme_of(address) or "", "file")


daily_manifests = dg.AssetSpec(
    "daily_manifests",
    description="The manifest of each day. Another system writes it; imgrelay finds it and records it here.",
    partitions_def=daily_partitions,
    group_name=GROUP,
    owners=OWNERS,
    kinds={store_kind(environment.MANIFESTS.get())},
)

stored_as = store_kind(default_destination())
relayed_images = dg.AssetsDefinition.from_graph(
    day_graph,
    keys_by_input_name={"day_manifest": daily_manifests.key},
    keys_by_output_name={"result": RELAYED_IMAGES},
    partitions_def=daily_partitions,
    group_name=GROUP,
    check_specs=check_specs(daily_partitions),
    owners_by_output_name={"result": OWNERS},
    tags_by_output_name={
        "result": {f"{KIND_PREFIX}{kind}": "" for kind in ("python", store_kind(default_destination()))}
    },
    descriptions_by_output_name={
        "result": "The images of each day's manifest with the template laid over them, in the destination. "
        "Materializing a day again relays only the entries that are left."
    },
)
"""One partition for each day and one run for each partition, so that the counts of a run belong to one day."""
