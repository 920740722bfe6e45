"""Marks runs whose process is gone as ended, so that Dagster retries them, and checks that Dagster does so."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from imgrelay_dagster.relay.records.dataset_lock import SILENCE_LIMIT, lock_holder, seconds_since_refresh
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.process_identity import is_on_this_host, process_is_gone
from imgrelay_dagster.runs.queries import is_relay_run, run_records
from imgrelay_dagster.runs.status import LOOKBACK
from imgrelay_dagster.runs.tags import (
    DATASET_TAG,
    DESTINATION_TAG,
    INVOCATION_TAG,
    PROCESS_TAG,
    RETRY_REMINDER_TAG,
    RETRY_TAGS,
)

RETRY_LIMIT = 60.0
"""Seconds within which Dagster retries a lost run; usually it takes a few."""

SAME_HOSTNAME_LIMIT = 90.0
"""Seconds of silence after which a run counts as lost if it ran on a host of the same name, but before a reboot or in
another container, such as the one that this container replaced. Three refreshes of its lock, plus the minute for which
steps retry a request to a store."""

UNPLANNED_LIMIT = 600.0
"""Seconds without an event after which a started run whose step `plan` never started counts as lost."""

_RUNNING_STATUSES = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def end_lost_runs(instance: dg.DagsterInstance, stores: StoresResource) -> Iterator[str]:
    """Mark every running run as ended whose process is gone; yields one message for each.

    The process of a run on another host cannot be checked; such a run counts as lost after a time of silence: no event
    in its log, and no refresh of its lock.
    """
    for record in list(run_records(instance, dg.RunsFilter(statuses=_RUNNING_STATUSES))):
        if not is_relay_run(record.dagster_run) or not _is_lost(instance, record, stores):
            continue
        # Read the status again now that the process is gone: the run may have ended normally a moment ago.
        run = instance.get_run_by_id(record.dagster_run.run_id)
        if run is None or run.is_finished:
            continue
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message="The run's process is gone; marking the run as canceled.")
        else:
            instance.report_run_failed(run, message="The run's process is gone; marking the run as failed.")
        yield f"run {run.run_id} was lost and has been ended"


def report_missed_failures(instance: dg.DagsterInstance) -> Iterator[str]:
    """Report a failure once more if Dagster has not retried the run; yields one message for each.

    Dagster's daemon misses a failure if it reads the event before the run's status is written, or if it stops at that
    moment. It retries a run once, however often the failure is reported.
    """
    recent = datetime.fromtimestamp(time.time() - LOOKBACK, UTC)
    retry_tags = {WILL_RETRY_TAG: "true", **RETRY_TAGS}
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags=retry_tags, updated_after=recent)
    for record in run_records(instance, failed):
        run = record.dagster_run
        silence = time.time() - (record.end_time or record.update_timestamp.timestamp())
        # A run of the command line is retried by the person who gave the command.
        if {AUTO_RETRY_RUN_ID_TAG, INVOCATION_TAG} & run.tags.keys() or run.tags.get(RETRY_REMINDER_TAG) == run.run_id:
            continue
        if silence > RETRY_LIMIT:
            instance.add_run_tags(run.run_id, {RETRY_REMINDER_TAG: run.run_id})
            instance.report_run_failed(run, message="Dagster has not retried this run; reporting its failure again.")
            yield f"run {run.run_id} was not retried; reported its failure to Dagster again"


def _is_lost(instance: dg.DagsterInstance, record: dg.RunRecord, stores: StoresResource) -> bool:
    """Whether the run's process is gone, or where that cannot be checked, whether the run was silent too long."""
    if instance.run_launcher.supports_check_run_worker_health:  # Dagster's own run monitoring checks these runs
        return False
    run = record.dagster_run
    identity = run.tags.get(PROCESS_TAG)
    if identity is None or _is_inherited(instance, run, identity):  # `plan` has not started
        return time.time() - _last_event(instance, record) > UNPLANNED_LIMIT
    if is_on_this_host(identity):
        return process_is_gone(identity)
    limit = SAME_HOSTNAME_LIMIT if identity.startswith(socket.gethostname() + " ") else SILENCE_LIMIT
    return time.time() - _last_event(instance, record) > limit and not _lock_was_refreshed(run, stores, limit)


def _lock_was_refreshed(run: dg.DagsterRun, stores: StoresResource, limit: float) -> bool:
    """Whether the run refreshed its lock in the last `limit` seconds by the store's clock; True if that is unknown."""
    with suppress(Exception):  # an unreachable store says nothing about the run
        store, dataset = stores.open(run.tags[DESTINATION_TAG], INTERACTIVE), run.tags[DATASET_TAG]
        holder = lock_holder(store, dataset)
        if holder is None or holder.run_id != run.run_id:
            return False
        return seconds_since_refresh(store, dataset, holder, f"{run.run_id}-housekeeping") <= limit
    return True


def _is_inherited(instance: dg.DagsterInstance, run: dg.DagsterRun, identity: str) -> bool:
    """Whether the tag was copied from an earlier run that this one re-executes; `plan` overwrites it."""
    *_, first = instance.get_runs(dg.RunsFilter(tags={PROCESS_TAG: identity}))
    return first.run_id != run.run_id


def _last_event(instance: dg.DagsterInstance, record: dg.RunRecord) -> float:
    """When the run's last event was logged, in seconds since the epoch; its creation if it has none."""
    events = instance.event_log_storage.get_logs_for_run(record.dagster_run.run_id, limit=1, ascending=False)
    return events[0].timestamp if events else record.create_timestamp.timestamp()
