"""Daily manifests for the tests: files of a fixed age, and runs of the days that they belong to."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType

from imgrelay_dagster.automation.late_manifests import LateScan, scan_late_manifests
from imgrelay_dagster.resources import StoresResource
from tests.support.runs import add_run

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY, EARLIER = "2026-11-23", "2026-11-20"


def write_manifest(
    folder: Path, name: str, text: str = "http://h/a.jpg\n", age: timedelta = timedelta(hours=1)
) -> Path:
    """Write a manifest that was last modified `age` before `NOW`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    written = (NOW - age).timestamp()
    os.utime(path, (written, written))
    return path


def scan(instance: dg.DagsterInstance, stores: StoresResource, cursor: str | None = None) -> LateScan:
    """Scan for late manifests at `NOW`."""
    return scan_late_manifests(instance, stores, cursor, NOW)


def requested_days(scan: LateScan) -> list[str | None]:
    """The days that a scan requests runs for."""
    return [request.partition_key for request in scan.requests]


def create_run(instance: dg.DagsterInstance, request: dg.RunRequest, *kinds: DagsterEventType) -> str:
    """Create the run that a request asks for, with these events in its log; returns its id."""
    tags = {**request.tags, "dagster/partition": request.partition_key}
    run = add_run(instance, "relay_day", tags)
    for kind in kinds:
        instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)
    return run.run_id
