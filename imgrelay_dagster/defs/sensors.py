"""What watches over runs and launches them."""

import time
from datetime import UTC, datetime
from itertools import chain

import dagster as dg

from imgrelay_dagster.automation.daily_manifests import find_late
from imgrelay_dagster.automation.inbox import SENSOR, evaluate_inbox
from imgrelay_dagster.automation.sensor_intervals import interval
from imgrelay_dagster.automation.shard_runs import shard_requests
from imgrelay_dagster.defs.jobs import relay, relay_day
from imgrelay_dagster.monitoring.housekeeping import clear_leftover_staging, settle_ended_runs
from imgrelay_dagster.monitoring.lost_runs import end_lost_runs, tell_of_missed_failures
from imgrelay_dagster.monitoring.notifications import send_notification
from imgrelay_dagster.resources import StoresResource

ROUND = 20.0
"""Seconds after which a round ends with the run at hand: Dagster gives up on a sensor after 60."""


@dg.sensor(
    name="housekeeping",
    minimum_interval_seconds=interval("IMGRELAY_WATCH_INTERVAL"),
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Gives runs that were cancelled or lost their results, ends runs that nobody works on, clears scratch space. "
        "Launches nothing; leave it on."
    ),
)
def housekeeping(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SkipReason:
    """One round of looking after runs that ended without their report."""
    until = time.monotonic() + ROUND
    done = []
    for line in chain(
        end_lost_runs(context.instance, stores),
        tell_of_missed_failures(context.instance),
        settle_ended_runs(context.instance, stores),
        clear_leftover_staging(context.instance, stores),
    ):
        done.append(line)
        if time.monotonic() > until:
            done.append("the rest follows in the next round")
            break
    return dg.SkipReason("; ".join(done) if done else "every run is in order")


@dg.sensor(
    name=SENSOR,
    job=relay,
    minimum_interval_seconds=interval("IMGRELAY_INBOX_INTERVAL"),
    description="Runs job relay for every manifest that lands in IMGRELAY_INBOX, once for each content. Turn it on.",
)
def inbox(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
    """One look into the inbox."""
    return evaluate_inbox(context, stores)


@dg.sensor(
    name="shards",
    jobs=[relay, relay_day],
    minimum_interval_seconds=interval("IMGRELAY_WATCH_INTERVAL"),
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Launches the shard runs that a run with more than max_entries_per_run entries asks for, and nothing else; "
        "leave it on."
    ),
)
def shards(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
    """One round of launching shards."""
    requests, cursor, troubles = shard_requests(context.instance, stores, context.cursor)
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=cursor)
    return dg.SensorResult(skip_reason="; ".join(troubles) or "no run asks for shards", cursor=cursor)


@dg.sensor(
    name="late_manifests",
    job=relay_day,
    minimum_interval_seconds=interval("IMGRELAY_LATE_INTERVAL"),
    description=(
        "Relays days whose manifest came after the schedule had asked for it, or was rewritten since; looks 31 days "
        "back (IMGRELAY_LATE_DAYS)."
    ),
)
def late_manifests(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
    """One round of looking for late manifests."""
    late = find_late(context.instance, stores, context.cursor, datetime.now(UTC))
    if late.requests:
        return dg.SensorResult(run_requests=late.requests, cursor=late.cursor)
    return dg.SensorResult(skip_reason="; ".join(late.notes) or "no manifest is late", cursor=late.cursor)


def _telling(name: str, status: dg.DagsterRunStatus, ends: str) -> dg.SensorDefinition:
    """A sensor that tells of every run that ends so."""

    @dg.run_status_sensor(
        run_status=status,
        name=name,
        minimum_interval_seconds=interval("IMGRELAY_WATCH_INTERVAL"),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Tells of every run that {ends}: a line in the log IMGRELAY_FAILURES_LOG, and a POST to "
            "IMGRELAY_WEBHOOK_URL, each where it is set. Launches nothing; leave it on."
        ),
    )
    def sensor(context: dg.RunStatusSensorContext) -> None:
        send_notification(context)

    return sensor


failed_runs = _telling("failed_runs", dg.DagsterRunStatus.FAILURE, "fails")
canceled_runs = _telling("canceled_runs", dg.DagsterRunStatus.CANCELED, "is cancelled")
