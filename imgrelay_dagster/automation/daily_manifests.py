"""The manifest of a day in Dagster: found in its place, recorded as a partition of asset `daily_manifests`, relayed."""

from functools import partial

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from imgrelay_dagster.automation.partitions import day_dataset, find_day_manifest
from imgrelay_dagster.relay.manifest.sources import ManifestFile
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import DATASET_TAG, MANIFEST_TAG, VERSION_TAG

DAILY_MANIFESTS = dg.AssetKey("daily_manifests")


def find_and_record(instance: dg.DagsterInstance, day: str, stores: StoresResource) -> ManifestFile | None:
    """Find the day's manifest and record it in Dagster; None if there is none yet.

    Raises:
        RelayError: the day has more than one manifest, or the manifests cannot be looked up.
    """
    manifest = find_day_manifest(day, partial(stores.open, policy=INTERACTIVE))
    if manifest is not None:
        record_manifest(instance, day, manifest)
    return manifest


def record_manifest(instance: dg.DagsterInstance, day: str, manifest: ManifestFile) -> None:
    """Record a materialization of the day's manifest, unless the latest one has the same version."""
    if _recorded_version(instance, day) != manifest.version:
        instance.report_runless_asset_event(_materialization(day, manifest))


def _recorded_version(instance: dg.DagsterInstance, day: str) -> str | None:
    filters = dg.AssetRecordsFilter(DAILY_MANIFESTS, asset_partitions=[day])
    records = instance.fetch_materializations(filters, limit=1).records
    materialization = records[0].asset_materialization if records else None
    return (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization else None


def _materialization(day: str, manifest: ManifestFile) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        DAILY_MANIFESTS,
        partition=day,
        metadata={
            "manifest": dg.MetadataValue.path(manifest.address),
            "bytes": manifest.size,
            "modified": dg.MetadataValue.timestamp(manifest.modified),
        },
        tags={DATA_VERSION_TAG: manifest.version},
    )


def day_request(day: str, manifest: ManifestFile) -> dg.RunRequest:
    """The request for a run that relays this version of a day's manifest.

    Its run key names day and version, so that Dagster launches it once for each schedule or sensor.
    """
    return dg.RunRequest(
        run_key=f"{day}/{manifest.version}",
        partition_key=day,
        tags={DATASET_TAG: day_dataset(day), MANIFEST_TAG: manifest.address, VERSION_TAG: manifest.version},
    )
