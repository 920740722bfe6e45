"""Receipts that arrive after a run got its results: housekeeping and the dataset's next run add them to the results."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
from dagster._core.events import EngineEventData
from obstore.store import ObjectStore

from imgrelay_dagster.config.host_classes import host_classes
from imgrelay_dagster.relay.records.dataset_lock import lock_holder
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.results.late_receipts import add_late_receipts, runs_with_late_receipts
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.queries import run_records
from imgrelay_dagster.runs.status import is_settled, results_tags, shard_of, tag_coordinator, was_planned
from imgrelay_dagster.runs.store_tags import store_options
from imgrelay_dagster.runs.tags import DATASET_TAG, DESTINATION_TAG

LATE_LIMIT = 3600.0
"""Seconds after a run's end in which housekeeping looks for late receipts. The next launch looks whenever it is."""

_ENDED_STATUSES = [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE]


def check_late_receipts(instance: dg.DagsterInstance, stores: StoresResource) -> Iterator[str]:
    """Add late receipts to the results of runs that ended early a short time ago; yields one message for each run."""
    recent = datetime.fromtimestamp(time.time() - LATE_LIMIT, UTC)
    for record in run_records(instance, dg.RunsFilter(statuses=_ENDED_STATUSES, updated_after=recent)):
        run = record.dagster_run
        dataset, destination = run.tags.get(DATASET_TAG), run.tags.get(DESTINATION_TAG)
        if dataset is None or destination is None or not (is_settled(run) and was_planned(instance, run.run_id)):
            continue
        try:
            asked = stores.open(destination, INTERACTIVE, store_options(run.tags))
            if not runs_with_late_receipts(asked, dataset, run.run_id):
                continue
            if lock_holder(asked, dataset) is not None:  # a later tick does it, once the run that holds it has ended
                continue
            store = stores.open(destination, options=store_options(run.tags))
            summary = add_late_receipts(store, dataset, run.run_id, host_class=host_classes())
            if summary is not None:
                note_late_receipts(instance, store, summary)
                yield f"run {run.run_id} got receipts that arrived after its end"
        except Exception as error:  # noqa: BLE001 - one run must not stop the others
            yield f"late receipts of run {run.run_id} cannot be read: {explain(error)}"


def note_late_receipts(instance: dg.DagsterInstance, store: ObjectStore, summary: Summary) -> None:
    """Say in the log and in the tags of a run that its results were written again.

    Args:
        store: the run's destination.
        summary: the run's new summary.

    Raises:
        RelayError: the destination cannot be read.
    """
    run = instance.get_run_by_id(summary.run_id)
    if run is None:
        return
    instance.add_run_tags(run.run_id, results_tags(summary))
    message = (
        f"Receipts arrived after the run's end; its results are written again: {summary.uploaded} uploaded, "
        f"{summary.unchanged} unchanged, {summary.failed} failed, {summary.not_attempted} not attempted of "
        f"{summary.entries} entries."
    )
    instance.report_engine_event(message, run, EngineEventData({"status": dg.MetadataValue.text(summary.status)}))
    shard = shard_of(run)
    if shard is not None:
        tag_coordinator(instance, store, summary.dataset, shard.coordinator)
