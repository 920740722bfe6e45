"""A day's manifest as Dagster knows it: looked for, and recorded as a partition of asset `daily_manifests`."""

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from imgrelay_dagster.partitions import find_day
from imgrelay_dagster.relay.sources import Found
from imgrelay_dagster.resources import StoresResource

MANIFESTS = dg.AssetKey("daily_manifests")


def see_day(instance: dg.DagsterInstance, day: str, stores: StoresResource) -> Found | None:
    """The day's manifest, recorded if this content was not seen before; None when there is none yet.

    Raises:
        RelayError: there is more than one; or the place cannot be asked.
    """
    found = find_day(day, stores.open_brief)
    if found is not None and _seen_version(instance, day) != found.version:
        instance.report_runless_asset_event(_materialization(day, found))
    return found


def _seen_version(instance: dg.DagsterInstance, day: str) -> str | None:
    wanted = dg.AssetRecordsFilter(MANIFESTS, asset_partitions=[day])
    records = instance.fetch_materializations(wanted, limit=1).records
    materialization = records[0].asset_materialization if records else None
    return (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization else None


def _materialization(day: str, found: Found) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        MANIFESTS,
        partition=day,
        metadata={
            "manifest": dg.MetadataValue.path(found.address),
            "bytes": found.size,
            "modified": dg.MetadataValue.timestamp(found.modified),
        },
        tags={DATA_VERSION_TAG: found.version},
    )
