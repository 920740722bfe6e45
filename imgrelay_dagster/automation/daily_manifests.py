"""The manifest of a period in Dagster: found in its place, recorded as a partition of its asset, relayed."""

from functools import partial

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from imgrelay_dagster.automation.day_assets import DEFAULT, DayAsset
from imgrelay_dagster.automation.manifest_locations import find_period_manifest
from imgrelay_dagster.relay.manifest.sources import ManifestFile
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import DATASET_TAG, MANIFEST_TAG, VERSION_TAG

DAILY_MANIFESTS = DEFAULT.manifests_key


def find_and_record(
    instance: dg.DagsterInstance, period: str, stores: StoresResource, asset: DayAsset = DEFAULT
) -> ManifestFile | None:
    """Find the period's manifest and record it in Dagster; None if there is none yet.

    Raises:
        RelayError: the period has more than one manifest, or the manifests cannot be looked up.
    """
    manifest = find_period_manifest(period, partial(stores.open, policy=INTERACTIVE), asset.manifests)
    if manifest is not None:
        record_manifest(instance, period, manifest, asset)
    return manifest


def record_manifest(instance: dg.DagsterInstance, period: str, manifest: ManifestFile, asset: DayAsset) -> None:
    """Record a materialization of the period's manifest, unless the latest one has the same version."""
    if _recorded_version(instance, period, asset) != manifest.version:
        instance.report_runless_asset_event(_materialization(period, manifest, asset))


def _recorded_version(instance: dg.DagsterInstance, period: str, asset: DayAsset) -> str | None:
    filters = dg.AssetRecordsFilter(asset.manifests_key, asset_partitions=[period])
    records = instance.fetch_materializations(filters, limit=1).records
    materialization = records[0].asset_materialization if records else None
    return (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization else None


def _materialization(period: str, manifest: ManifestFile, asset: DayAsset) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset.manifests_key,
        partition=period,
        metadata={
            "manifest": dg.MetadataValue.path(manifest.address),
            "bytes": manifest.size,
            "modified": dg.MetadataValue.timestamp(manifest.modified),
        },
        tags={DATA_VERSION_TAG: manifest.version},
    )


def period_request(period: str, manifest: ManifestFile, asset: DayAsset = DEFAULT) -> dg.RunRequest:
    """The request for a run that relays this version of a period's manifest.

    Its run key names asset, period and version, so that Dagster launches it once for each schedule or sensor.
    """
    return dg.RunRequest(
        run_key=f"{asset.label(period)}/{manifest.version}",
        job_name=asset.job_name,
        partition_key=period,
        tags={DATASET_TAG: asset.dataset(period), MANIFEST_TAG: manifest.address, VERSION_TAG: manifest.version},
    )
