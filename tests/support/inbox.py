"""Scans of an inbox for the tests, and its sensor."""

from collections.abc import Iterator

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG
from dagster_aws.s3 import S3Resource
from obstore.store import ObjectStore

from imgrelay_dagster.definitions import relay_job
from imgrelay_dagster.defs import sensors
from imgrelay_dagster.relay.manifest.inbox import InboxCursor, InboxScan, scan_inbox
from imgrelay_dagster.relay.manifest.inbox_files import InboxFile
from imgrelay_dagster.relay.storage.listing import ListedObject
from imgrelay_dagster.resources import StoresResource

LIMIT = 3
"""Manifests that get a run in one scan."""


def no_store(address: str) -> ObjectStore:
    """For a local inbox, which needs no store."""
    raise AssertionError(address)


def no_list(address: str) -> Iterator[ListedObject]:
    """For an inbox that needs no listing of unusual keys."""
    raise AssertionError(address)


def scan(files: list[InboxFile], cursor: InboxCursor, runs: set[str], *, atomic: bool = False) -> InboxScan:
    """Scan these files; manifests outside the inbox are refused."""

    def keys_with_run(keys: list[str]) -> set[str]:
        assert len(keys) <= LIMIT
        return runs & set(keys)

    refused = {file.key for file in files if "outside" in file.address}
    return scan_inbox(
        files,
        cursor,
        limit=LIMIT,
        keys_with_run=keys_with_run,
        refusal=lambda file: "lies outside" if file.key in refused else None,
        atomic=atomic,
    )


class Sensor:
    """Sensor `inbox`, evaluated as the Dagster daemon evaluates it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> dg.SensorResult:
        stores = StoresResource(s3=S3Resource(), staging_address="staging")
        with dg.build_sensor_context(self.instance, cursor=self.cursor, resources={"stores": stores}) as context:
            result = sensors.inbox(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor or self.cursor
        return result

    def create_runs(self, result: dg.SensorResult) -> None:
        """Create the runs that a tick requested, as the daemon does."""
        for request in result.run_requests or []:
            tags = {**request.tags, RUN_KEY_TAG: request.run_key or "", SENSOR_NAME_TAG: "inbox"}
            run = self.instance.create_run_for_job(
                relay_job(), run_config=request.run_config, tags=tags, status=dg.DagsterRunStatus.STARTED
            )
            assert run.tags["imgrelay/manifest"]
