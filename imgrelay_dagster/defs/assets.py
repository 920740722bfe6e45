"""The daily assets: the manifest of each period, and the images relayed from it."""

import dagster as dg

from imgrelay_dagster.automation.day_assets import DEFAULT, DayAsset, day_assets
from imgrelay_dagster.automation.partitions import partitions
from imgrelay_dagster.config import environment
from imgrelay_dagster.config.defaults import default_destination
from imgrelay_dagster.defs.graph import day_graph
from imgrelay_dagster.ops.asset_checks import check_specs
from imgrelay_dagster.relay.storage.addresses import scheme_of

GROUP = "daily"
OWNERS = list(environment.OWNERS.get_or_default())

_DESCRIPTION = (
    "The images of each day's manifest with the template laid over them, in the destination. Materializing a day again "
    "relays only the entries that are left."
)


def store_kind(address: str) -> str:
    """The kind of an asset that is stored there, in the words for which Dagster's UI has icons."""
    return {"s3": "s3", "gs": "gcs", "az": "azure"}.get(scheme_of(address) or "", "file")


def _manifests(asset: DayAsset) -> dg.AssetSpec:
    of = "" if asset.is_default else f" of {asset.name}"
    return dg.AssetSpec(
        asset.manifests_key,
        description=f"The manifest{of} of each day. Another system writes it; imgrelay finds it and records it here.",
        partitions_def=partitions,
        group_name=GROUP,
        owners=list(asset.owners) or OWNERS,
        kinds={store_kind(environment.MANIFESTS.get())},
    )


def _images(asset: DayAsset) -> dg.AssetsDefinition:
    definition = dg.AssetsDefinition.from_graph(
        day_graph(asset.name),
        keys_by_input_name={"day_manifest": asset.manifests_key},
        keys_by_output_name={"result": asset.key},
        partitions_def=partitions,
        group_name=GROUP,
        check_specs=check_specs(asset.key, partitions),
        descriptions_by_output_name={"result": asset.description or _DESCRIPTION},
    )
    return definition.map_asset_specs(
        lambda spec: spec.replace_attributes(
            owners=list(asset.owners) or OWNERS,
            kinds=set(asset.kinds) or {"python", store_kind(default_destination())},
            tags={**spec.tags, **dict(asset.tags)},
        )
    )


daily_manifests = _manifests(DEFAULT)
images_by_name = {asset.name: _images(asset) for asset in day_assets()}
"""One partition for each period and one run for each partition, so that the counts of a run belong to one period."""

relayed_images = images_by_name[DEFAULT.name]
manifests = [daily_manifests, *(_manifests(asset) for asset in day_assets() if asset.manifests is not None)]
