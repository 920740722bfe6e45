"""Looking after runs that ended without their report step: cancelled, crashed, or lost with their machine.

Such a run gets its results from ledger and receipts, its scratch space cleared and its dataset released. A run that
Dagster still takes for running although nobody works on it is ended, so that the daemon may start it again. The
command line does this for its own run before it exits; the sensor `housekeeping` does it for every other.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing import parent_process

import dagster as dg
import psutil
from dagster._core.events import EngineEventData
from dagster._core.execution.stats import StepEventStatus
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.joining import add_missing_part
from imgrelay_dagster.relay.lock import SILENCE_LIMIT, holder, release
from imgrelay_dagster.relay.report import Summary, read_summary, write_results
from imgrelay_dagster.relay.settings import Shard
from imgrelay_dagster.relay.stores import explain
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.tags import (
    COORDINATOR_TAG,
    DATASET_TAG,
    DESTINATION_TAG,
    INVOCATION_TAG,
    PROCESS_TAG,
    RESULTS_TAG,
    RETRY_TAGS,
    SETTLED_TAG,
    SHARD_TAG,
    TOLD_TAG,
)

RETRY_LIMIT = 60.0
"""Seconds in which Dagster starts a run again whose process was lost; a few are usual."""

GRACE = 10.0
"""Seconds after a run's end in which its last steps may still be putting receipts."""

RECENT = 7 * 24 * 3600.0
"""Seconds that a run without results is looked after."""

UNPLANNED_LIMIT = 600.0
"""Seconds without an event after which a started run that was never planned counts as lost."""

LOOKED_AT = 200
"""Runs looked at in one round, the newest first."""

_OVER = [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE]
_GOING = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def run_process() -> str:
    """The process that this step's run lives in, told apart from any later one with the same number."""
    parent = parent_process()
    return _named(psutil.Process(None if parent is None else parent.pid))


def this_process() -> str:
    """The same of this very process, where it is the run's and its steps are elsewhere."""
    return _named(psutil.Process())


def _named(process: psutil.Process) -> str:
    return f"{socket.gethostname()} {process.pid} {process.create_time():.0f}"


def process_is_gone(tag: str) -> bool:
    """Whether the process of `run_process` has ended; never said of another host's."""
    host, pid, created = tag.rsplit(" ", 2)
    if host != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(created)) > 5
    except psutil.NoSuchProcess:
        return True


def counts_tag(summary: Summary) -> dict[str, str]:
    """The run tags that say how far a run got; they show in the list of runs."""
    done = summary.uploaded + summary.unchanged
    counts = f"{done} of {summary.entries}" + (f", {summary.failed} failed" if summary.failed else "")
    return {RESULTS_TAG: counts, SETTLED_TAG: summary.run_id}


def joined_summary(instance: dg.DagsterInstance, store: ObjectStore, dataset: str, coordinator: str) -> Summary | None:
    """What has become so far of all shards of a run together, shown on that run; None when its records are gone.

    Raises:
        RelayError: the destination cannot be read.
    """
    summary = read_summary(store, dataset, coordinator)
    if summary is not None and instance.has_run(coordinator):
        instance.add_run_tags(coordinator, counts_tag(summary))
    return summary


def shard_of(run: dg.DagsterRun) -> Shard | None:
    """The shard that this run relays, as its tags say."""
    number, _, of = run.tags.get(SHARD_TAG, "").partition(" of ")
    if COORDINATOR_TAG not in run.tags or not number.isdecimal() or not of.isdecimal():
        return None
    return Shard(run.tags[COORDINATOR_TAG], int(number), int(of))


def is_settled(run: dg.DagsterRun) -> bool:
    """Whether the run has its results."""
    return run.tags.get(SETTLED_TAG) == run.run_id


def settle(
    instance: dg.DagsterInstance, run: dg.DagsterRun, stores: StoresResource, *, seconds: float, status: str
) -> Summary | None:
    """Complete a run that is over: results, scratch space, lock. Does nothing twice.

    Args:
        seconds: wall time of the run.
        status: `canceled` or `failure`, for a run that has no summary of its own.

    Returns:
        The run's summary; None for one that ended before it was planned.

    Raises:
        RelayError: the destination cannot be reached now.
    """
    with suppress(RelayError):  # what is left there is cleared in a later round
        stores.brief_staging(run.run_id).clear()
    if DESTINATION_TAG not in run.tags:
        return None
    dataset, destination = run.tags[DATASET_TAG], run.tags[DESTINATION_TAG]
    _see_that_it_answers(stores, destination, dataset)
    store = stores.open(destination)
    summary = write_results(store, dataset, run_id=run.run_id, seconds=seconds, status=status)
    release(store, dataset, run.run_id)
    shard = shard_of(run)
    if shard is not None:
        if summary is None:
            add_missing_part(store, dataset, shard, run_id=run.run_id, status=status, seconds=seconds)
        joined_summary(instance, store, dataset, shard.coordinator)
    if summary is not None and not is_settled(run):
        instance.add_run_tags(run.run_id, counts_tag(summary))
        message = (
            f"The run ended early: {summary.uploaded} uploaded, {summary.unchanged} unchanged, "
            f"{summary.failed} failed, {summary.not_attempted} not attempted of {summary.entries} entries. "
            "Launch it again to do what is left."
        )
        instance.report_engine_event(message, run, EngineEventData({"status": dg.MetadataValue.text(summary.status)}))
    elif summary is None:
        without = "its records are gone" if was_planned(instance, run.run_id) else "ended before it was planned"
        instance.add_run_tags(run.run_id, {RESULTS_TAG: f"none: {without}", SETTLED_TAG: run.run_id})
    return summary


def was_planned(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run came as far as to have a ledger."""
    steps = instance.get_run_step_stats(run_id, ["plan"])
    return any(step.status is StepEventStatus.SUCCESS for step in steps)


def _see_that_it_answers(stores: StoresResource, destination: str, dataset: str) -> None:
    """Ask a destination something small: what follows would wait for a minute for one that is away."""
    try:
        holder(stores.open_brief(destination), dataset)
    except (BaseError, OSError) as error:
        raise RelayError(f"destination {destination!r} cannot be read: {explain(error)}") from error


def settle_ended_runs(instance: dg.DagsterInstance, stores: StoresResource) -> Iterator[str]:
    """Complete every recent run that ended without its results; yields a line for each."""
    recent = datetime.fromtimestamp(time.time() - RECENT, UTC)
    ended_runs = dg.RunsFilter(statuses=_OVER, updated_after=recent)
    for record in instance.get_run_records(ended_runs, limit=LOOKED_AT):
        run = record.dagster_run
        ended = record.end_time or record.update_timestamp.timestamp()
        # One that ended in the queue has its dataset from whoever asked for it, and never came to its destination.
        if is_settled(run) or DESTINATION_TAG not in run.tags or time.time() - ended < GRACE:
            continue
        status = "canceled" if run.status is dg.DagsterRunStatus.CANCELED else "failure"
        try:
            settle(instance, run, stores, seconds=ended - (record.start_time or ended), status=status)
        except RelayError as error:
            yield f"run {run.run_id} cannot be completed yet: {error}"
        else:
            yield f"run {run.run_id} has its results"


def end_lost_runs(instance: dg.DagsterInstance, stores: StoresResource) -> Iterator[str]:
    """End every run that counts as running although nobody works on it; yields a line for each.

    Its process is gone from this host, or, where that cannot be known, nothing has been heard of it for long.
    """
    for record in instance.get_run_records(dg.RunsFilter(statuses=_GOING), limit=LOOKED_AT):
        if not _is_lost(instance, record, stores):
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
    for record in instance.get_run_records(failed, limit=LOOKED_AT):
        run = record.dagster_run
        silent = time.time() - (record.end_time or record.update_timestamp.timestamp())
        # The command's own runs are started again by whoever gave the command.
        if {AUTO_RETRY_RUN_ID_TAG, INVOCATION_TAG} & run.tags.keys() or run.tags.get(TOLD_TAG) == run.run_id:
            continue
        if silent > RETRY_LIMIT:
            instance.add_run_tags(run.run_id, {TOLD_TAG: run.run_id})
            instance.report_run_failed(run, message="Dagster has not started this run again; it is told once more.")
            yield f"run {run.run_id} was not started again, and Dagster is told of it once more"


def clear_leftover_staging(instance: dg.DagsterInstance, stores: StoresResource) -> Iterator[str]:
    """Clear the scratch space of runs that are over; yields a line for each."""
    try:
        staged = stores.staged_runs()
    except RelayError as error:
        yield str(error)
        return
    for run_id in staged:
        run = instance.get_run_by_id(run_id)
        if run is not None and run.is_finished and _has_been_over(instance, run_id):
            try:
                stores.brief_staging(run_id).clear()
            except RelayError as error:
                yield str(error)
            else:
                yield f"scratch space of run {run_id} is cleared"


def is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether this instance knows that the run has ended."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished


def _is_lost(instance: dg.DagsterInstance, record: dg.RunRecord, stores: StoresResource) -> bool:
    if instance.run_launcher.supports_check_run_worker_health:  # Dagster's own run monitoring asks it
        return False
    run = record.dagster_run
    tag = run.tags.get(PROCESS_TAG)
    if tag is None or _is_inherited(instance, run, tag):  # `plan` has not begun
        return time.time() - _last_event(instance, record) > UNPLANNED_LIMIT
    if tag.startswith(socket.gethostname() + " "):
        return process_is_gone(tag)
    with suppress(Exception):  # a store that is away says nothing about the run
        held = holder(stores.open_brief(run.tags[DESTINATION_TAG]), run.tags[DATASET_TAG])
        renewed = held.at if held is not None and held.run_id == run.run_id else 0.0
        return time.time() - max(renewed, _last_event(instance, record)) > SILENCE_LIMIT
    return False


def _is_inherited(instance: dg.DagsterInstance, run: dg.DagsterRun, tag: str) -> bool:
    """Whether this is the process of an earlier run, which this one was made from: `plan` will put its own there."""
    *_, first = instance.get_runs(dg.RunsFilter(tags={PROCESS_TAG: tag}))
    return first.run_id != run.run_id


def _last_event(instance: dg.DagsterInstance, record: dg.RunRecord) -> float:
    """When the run last left an event in its log."""
    events = instance.event_log_storage.get_logs_for_run(record.dagster_run.run_id, limit=1, ascending=False)
    return events[0].timestamp if events else record.create_timestamp.timestamp()


def _has_been_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    record = instance.get_run_record_by_id(run_id)
    return record is not None and time.time() - (record.end_time or 0) > GRACE
