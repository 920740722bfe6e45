"""Runs that were lost with their process: ending them, so that Dagster starts them again, and seeing that it does."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from imgrelay_dagster.relay.records.dataset_lock import SILENCE_LIMIT, lock_holder
from imgrelay_dagster.relay.storage.stores import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.process_identity import is_on_this_host, process_is_gone
from imgrelay_dagster.runs.queries import is_ours, run_records
from imgrelay_dagster.runs.status import RECENT
from imgrelay_dagster.runs.tags import DATASET_TAG, DESTINATION_TAG, INVOCATION_TAG, PROCESS_TAG, RETRY_TAGS, TOLD_TAG

RETRY_LIMIT = 60.0
"""Seconds in which Dagster starts a run again whose process was lost; a few are usual."""

NAMESAKE_LIMIT = 90.0
"""Seconds of silence after which a run counts as lost whose host has this one's name and is another, such as the one
before it: three renewals of its hold, and the minute for which steps ride out a store that is away."""

UNPLANNED_LIMIT = 600.0
"""Seconds without an event after which a started run that was never planned counts as lost."""

_GOING = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def end_lost_runs(instance: dg.DagsterInstance, stores: StoresResource) -> Iterator[str]:
    """End every run that counts as running although nobody works on it; yields a line for each.

    Its process is gone from this host, or, where that cannot be known, nothing has been heard of it for long.
    """
    for record in list(run_records(instance, dg.RunsFilter(statuses=_GOING))):
        if not is_ours(record.dagster_run) or not _is_lost(instance, record, stores):
            continue
        # Looked at again now that its process is known to be gone: it may have ended in order a moment ago.
        run = instance.get_run_by_id(record.dagster_run.run_id)
        if run is None or run.is_finished:
            continue
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message="Nobody works on this run any more; it counts as canceled.")
        else:
            instance.report_run_failed(run, message="The process of this run is gone; it counts as failed.")
        yield f"run {run.run_id} was lost and is ended"


def tell_of_missed_failures(instance: dg.DagsterInstance) -> Iterator[str]:
    """See that runs which Dagster is to start again are started; yields a line for each that it is told of once more.

    Its daemon passes over a failure for good when it reads the event before the run's own status is written, or fails
    itself in that moment. However often it is told, it starts a run again once.
    """
    recent = datetime.fromtimestamp(time.time() - RECENT, UTC)
    wanted = {WILL_RETRY_TAG: "true", **RETRY_TAGS}
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags=wanted, updated_after=recent)
    for record in run_records(instance, failed):
        run = record.dagster_run
        silent = time.time() - (record.end_time or record.update_timestamp.timestamp())
        # The command's own runs are started again by whoever gave the command.
        if {AUTO_RETRY_RUN_ID_TAG, INVOCATION_TAG} & run.tags.keys() or run.tags.get(TOLD_TAG) == run.run_id:
            continue
        if silent > RETRY_LIMIT:
            instance.add_run_tags(run.run_id, {TOLD_TAG: run.run_id})
            instance.report_run_failed(run, message="Dagster has not started this run again; it is told once more.")
            yield f"run {run.run_id} was not started again, and Dagster is told of it once more"


def _is_lost(instance: dg.DagsterInstance, record: dg.RunRecord, stores: StoresResource) -> bool:
    if instance.run_launcher.supports_check_run_worker_health:  # Dagster's own run monitoring asks it
        return False
    run = record.dagster_run
    tag = run.tags.get(PROCESS_TAG)
    if tag is None or _is_inherited(instance, run, tag):  # `plan` has not begun
        return time.time() - _last_event(instance, record) > UNPLANNED_LIMIT
    if is_on_this_host(tag):
        return process_is_gone(tag)
    limit = NAMESAKE_LIMIT if tag.startswith(socket.gethostname() + " ") else SILENCE_LIMIT
    with suppress(Exception):  # a store that is away says nothing about the run
        held = lock_holder(stores.open(run.tags[DESTINATION_TAG], INTERACTIVE), run.tags[DATASET_TAG])
        renewed = held.at if held is not None and held.run_id == run.run_id else 0.0
        return time.time() - max(renewed, _last_event(instance, record)) > limit
    return False


def _is_inherited(instance: dg.DagsterInstance, run: dg.DagsterRun, tag: str) -> bool:
    """Whether this is the process of an earlier run, which this one was made from: `plan` will put its own there."""
    *_, first = instance.get_runs(dg.RunsFilter(tags={PROCESS_TAG: tag}))
    return first.run_id != run.run_id


def _last_event(instance: dg.DagsterInstance, record: dg.RunRecord) -> float:
    """When the run last left an event in its log."""
    events = instance.event_log_storage.get_logs_for_run(record.dagster_run.run_id, limit=1, ascending=False)
    return events[0].timestamp if events else record.create_timestamp.timestamp()
