"""Housekeeping for runs that ended without their report step: canceled, crashed, or lost with their machine.

To settle such a run means to write its results from ledger and receipts, clear its scratch space and release the lock
of its dataset. The command line settles its own run before it exits; the sensor `housekeeping` settles all others.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import dagster as dg
from dagster._core.events import EngineEventData
from obstore.exceptions import BaseError

from imgrelay_dagster.config.allowed_paths import check_local_path
from imgrelay_dagster.config.defaults import default_destination
from imgrelay_dagster.config.host_classes import host_classes
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.dataset_lock import lock_holder, release_lock
from imgrelay_dagster.relay.records.dataset_names import check_dataset
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.results.shard_merge import add_unplanned_shard
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.relay.storage.scratch_files import clear_leftover_scratch
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.adjustments import present_adjustments
from imgrelay_dagster.runs.queries import run_records
from imgrelay_dagster.runs.status import LOOKBACK, is_settled, results_tags, shard_of, tag_coordinator, was_planned
from imgrelay_dagster.runs.store_tags import store_options
from imgrelay_dagster.runs.tags import DATASET_TAG, DESTINATION_TAG, RESULTS_TAG, SETTLED_TAG

GRACE = 10.0
"""Seconds after a run's end in which its last steps may still write receipts."""


_ENDED_STATUSES = [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE]


def settle(
    instance: dg.DagsterInstance, run: dg.DagsterRun, stores: StoresResource, *, seconds: float, status: str
) -> Summary | None:
    """Settle a run that has ended: results, scratch space, lock. Settling it again changes nothing.

    Args:
        seconds: wall time of the run, in seconds.
        status: `canceled` or `failure`, for a run that has no summary of its own.

    Returns:
        The run's summary; None for one that ended before it was planned.

    Raises:
        RelayError: the destination cannot be reached, or an unplanned run must not use it.
    """
    with suppress(RelayError):  # a later tick clears what is left
        clear_staging(stores, run)
    dataset, destination = run.tags.get(DATASET_TAG), run.tags.get(DESTINATION_TAG)
    if dataset is None or destination is None:
        return None
    if not was_planned(instance, run.run_id):
        # Until `plan` writes its own tags, these come from whoever launched the run.
        check_dataset(dataset)
        check_local_path("destination", destination, [default_destination()])
    _check_reachable(stores, destination, dataset)
    store = stores.open(destination, options=store_options(run.tags))
    adjustments = present_adjustments(instance, run.run_id)
    summary = write_results(
        store,
        dataset,
        run_id=run.run_id,
        seconds=seconds,
        status=status,
        adjustments=adjustments,
        host_class=host_classes(),
    )
    release_lock(store, dataset, run.run_id)
    shard = shard_of(run)
    if shard is not None:
        if summary is None:
            add_unplanned_shard(store, dataset, shard, run_id=run.run_id, status=status, seconds=seconds)
        tag_coordinator(instance, store, dataset, shard.coordinator)
    if summary is not None and not is_settled(run):
        instance.add_run_tags(run.run_id, results_tags(summary))
        message = (
            f"The run ended early: {summary.uploaded} uploaded, {summary.unchanged} unchanged, "
            f"{summary.failed} failed, {summary.not_attempted} not attempted of {summary.entries} entries. "
            "Launch it again to do what is left."
        )
        instance.report_engine_event(message, run, EngineEventData({"status": dg.MetadataValue.text(summary.status)}))
    elif summary is None:
        cause = "its records are gone" if was_planned(instance, run.run_id) else "ended before it was planned"
        instance.add_run_tags(run.run_id, {RESULTS_TAG: f"none: {cause}", SETTLED_TAG: run.run_id})
    return summary


def _check_reachable(stores: StoresResource, destination: str, dataset: str) -> None:
    """Read one small object. The calls that follow would retry for a minute if the destination is unreachable.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        lock_holder(stores.open(destination, INTERACTIVE), dataset)
    except (BaseError, OSError) as error:
        raise RelayError(f"destination {destination!r} cannot be read: {explain(error)}") from error


def settle_ended_runs(instance: dg.DagsterInstance, stores: StoresResource) -> Iterator[str]:
    """Settle every recent run that ended without its results; yields one message for each."""
    recent = datetime.fromtimestamp(time.time() - LOOKBACK, UTC)
    ended_runs = dg.RunsFilter(statuses=_ENDED_STATUSES, updated_after=recent)
    for record in run_records(instance, ended_runs):
        run = record.dagster_run
        ended = record.end_time or record.update_timestamp.timestamp()
        # A run that was canceled in the queue has a dataset tag from its sensor, but no destination tag.
        if is_settled(run) or DESTINATION_TAG not in run.tags or time.time() - ended < GRACE:
            continue
        status = "canceled" if run.status is dg.DagsterRunStatus.CANCELED else "failure"
        try:
            settle(instance, run, stores, seconds=ended - (record.start_time or ended), status=status)
        except Exception as error:  # noqa: BLE001 - one run must not stop the others from being settled
            yield f"run {run.run_id} cannot be completed yet: {explain(error)}"
        else:
            yield f"run {run.run_id} has its results"


def clear_staging(stores: StoresResource, run: dg.DagsterRun) -> None:
    """Clear the scratch space of a run that was interrupted, and keep its downloads for the next run of its dataset.

    Raises:
        RelayError: the scratch space cannot be cleared, or the run's tags name no valid dataset.
    """
    staging, dataset = stores.brief_staging(run.run_id), run.tags.get(DATASET_TAG)
    try:
        if dataset is not None:
            check_dataset(dataset)
            staging.keep_originals(dataset)
    finally:
        staging.clear()


def clear_leftover_staging(instance: dg.DagsterInstance, stores: StoresResource) -> Iterator[str]:
    """Clear the scratch space of ended runs, and of processes that were killed; yields one message for each."""
    if stores.staging_folder is not None:
        yield from clear_leftover_scratch(stores.staging_folder)
    try:
        staged = stores.staged_runs()
    except RelayError as error:
        yield str(error)
        return
    for run_id in staged:
        run = instance.get_run_by_id(run_id)
        if run is not None and run.is_finished and _grace_is_over(instance, run_id):
            try:
                clear_staging(stores, run)
            except RelayError as error:
                yield str(error)
            else:
                yield f"cleared the scratch space of run {run_id}"


def _grace_is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run ended more than `GRACE` seconds ago."""
    record = instance.get_run_record_by_id(run_id)
    return record is not None and time.time() - (record.end_time or 0) > GRACE
