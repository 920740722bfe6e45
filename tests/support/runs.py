"""Runs of any status in a Dagster instance without its daemon, for the tests of housekeeping."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.monitoring.housekeeping import GRACE, clear_leftover_staging, settle_ended_runs
from imgrelay_dagster.monitoring.lost_runs import end_lost_runs, report_missed_failures
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.outcomes import Outcome, Stage
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.dataset_lock import acquire_lock
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.packs import PackWriter
from imgrelay_dagster.relay.storage.stores import open_store
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.process_identity import run_process_identity
from imgrelay_dagster.runs.tags import DATASET_TAG, DESTINATION_TAG, PROCESS_TAG, RESULTS_TAG, RETRY_TAGS, SETTLED_TAG

Status = dg.DagsterRunStatus
Clock = Callable[[float], None]
"""Moves the clock forward by a number of seconds."""

EVENTS = {
    Status.NOT_STARTED: [],
    Status.STARTED: [DagsterEventType.RUN_START],
    Status.SUCCESS: [DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS],
    Status.FAILURE: [DagsterEventType.RUN_START, DagsterEventType.RUN_FAILURE],
    Status.CANCELING: [DagsterEventType.RUN_START, DagsterEventType.RUN_CANCELING],
    Status.CANCELED: [DagsterEventType.RUN_START, DagsterEventType.RUN_CANCELING, DagsterEventType.RUN_CANCELED],
}
"""The events that lead to a status."""

LATER = GRACE + 5
"""Seconds after a run's end when housekeeping may settle it."""

TAGS = {
    "dataset": DATASET_TAG,
    "destination": DESTINATION_TAG,
    "process": PROCESS_TAG,
    "results": RESULTS_TAG,
    "settled": SETTLED_TAG,
}
URLS = ["http://h/a.jpg", "http://h/b.jpg", "http://h/c.jpg"]


def add_run(instance: dg.DagsterInstance, job: str, tags: dict[str, str], config: object = None) -> dg.DagsterRun:
    """Add a run without the snapshots of its job, which take most of the time of `create_run_for_job`."""
    return instance.add_run(dg.DagsterRun(job_name=job, run_config=config or {}, tags=tags))


class Runs:
    """Creates runs of any status in a Dagster instance, and looks after them as the sensor `housekeeping` does."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance = instance
        self.out = folder / "out"
        self.staging = folder / "staging"
        self.store = open_store(str(self.out))
        self.stores = StoresResource(s3=S3Resource(), staging_address=str(self.staging))

    def create(self, status: Status, **tags: str | None) -> str:
        """Create a run with this status; returns its id. Its process is this one unless `tags` say otherwise."""
        planned = {"dataset": "birds", "destination": str(self.out), "process": run_process_identity()}
        given = {TAGS[name]: value for name, value in {**planned, **tags}.items() if value is not None}
        run = add_run(self.instance, "relay", {**RETRY_TAGS, **given}, {"urls": URLS})
        for kind in EVENTS[status]:
            self.instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)
        assert self.status(run.run_id) is status
        return run.run_id

    def plan(self, run_id: str, folder: Path, uploaded: int) -> None:
        """Write what the run's steps leave: ledger, lock, scratch files, receipts of the first `uploaded` entries."""
        settings = Settings(dataset="birds", destination=str(self.out))
        acquire_lock(self.store, "birds", run_id, is_over=lambda _: True)
        plan = plan_run(
            [ManifestRow(line, url) for line, url in enumerate(URLS, 1)],
            settings,
            run_id=run_id,
            store=self.store,
            templates=TemplateFolder.shipped(),
            scratch=folder,
        )
        records = [record for task in plan.tasks() for record in task.records]
        with ReceiptWriter(self.store, run_receipts_prefix("birds", run_id), "upload-1") as receipts:
            for record in records[:uploaded]:
                receipts.add(replace(record, outcome=Outcome.UPLOADED, at=time.time()))
        self.stage(run_id)

    def age_lock(self, seconds: float) -> None:
        """Let the dataset's lock be older, by the store's clock."""
        file = self.out / "_relay/birds/receipts/lock.json"
        os.utime(file, (file.stat().st_mtime - seconds,) * 2)

    def stage(self, run_id: str) -> None:
        """Write a scratch file of the run."""
        with PackWriter(self.stores.staging(run_id), "task", Stage.DOWNLOAD) as pack:
            pack.add(1, b"half a picture")

    def staged(self) -> set[str]:
        """The runs that have scratch files."""
        return {path.relative_to(self.staging).parts[0] for path in self.staging.rglob("*") if path.is_file()}

    def status(self, run_id: str) -> Status:
        return self._run(run_id).status

    def tags(self, run_id: str) -> dict[str, str]:
        return dict(self._run(run_id).tags)

    def _run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def messages(self, run_id: str) -> list[str]:
        """The messages that housekeeping wrote into the run's log."""
        events = self.instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT)
        return [event.message for event in events if event.message.startswith("The run ended early")]

    def summary(self, run_id: str) -> dict[str, Any]:
        return json.loads((self.out / "_relay" / "birds" / "runs" / run_id / "summary.json").read_text())

    def settle(self) -> list[str]:
        return list(settle_ended_runs(self.instance, self.stores))

    def end_lost(self) -> list[str]:
        return list(end_lost_runs(self.instance, self.stores))

    def report_missed(self) -> list[str]:
        return list(report_missed_failures(self.instance))

    def failures(self, run_id: str) -> int:
        """How many failure events the run's log has."""
        return len(self.instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE))

    def clear(self) -> list[str]:
        return list(clear_leftover_staging(self.instance, self.stores))
