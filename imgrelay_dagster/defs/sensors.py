"""The sensors: those that launch runs, and those that monitor runs."""

import time
from datetime import UTC, datetime
from itertools import chain

import dagster as dg

from imgrelay_dagster.automation.day_assets import day_assets
from imgrelay_dagster.automation.inbox import SENSOR_NAME, evaluate_inbox
from imgrelay_dagster.automation.late_manifests import scan_late_manifests
from imgrelay_dagster.automation.sensor_ticks import TICK_BUDGET
from imgrelay_dagster.automation.shard_runs import shard_requests
from imgrelay_dagster.config import environment
from imgrelay_dagster.defs.jobs import day_jobs, relay
from imgrelay_dagster.monitoring.freshness import evaluate_freshness
from imgrelay_dagster.monitoring.housekeeping import clear_leftover_staging, settle_ended_runs
from imgrelay_dagster.monitoring.late_receipts import check_late_receipts
from imgrelay_dagster.monitoring.lost_runs import end_lost_runs, report_missed_failures
from imgrelay_dagster.monitoring.notifications import send_notification
from imgrelay_dagster.resources import StoresResource


@dg.sensor(
    name="housekeeping",
    minimum_interval_seconds=environment.WATCH_INTERVAL.get_or_default(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Writes the results of runs that were canceled or lost, ends runs whose process is gone, and clears scratch "
        "space. Launches no runs. Leave it on."
    ),
)
def housekeeping(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SkipReason:
    """Look after runs that ended without their report step, until `TICK_BUDGET` is used up."""
    deadline = time.monotonic() + TICK_BUDGET
    messages = []
    for message in chain(
        end_lost_runs(context.instance, stores),
        report_missed_failures(context.instance),
        settle_ended_runs(context.instance, stores),
        check_late_receipts(context.instance, stores),
        clear_leftover_staging(context.instance, stores),
    ):
        messages.append(message)
        if time.monotonic() > deadline:
            messages.append("the rest follows in the next tick")
            break
    return dg.SkipReason("; ".join(messages) if messages else "no run needs attention")


@dg.sensor(
    name=SENSOR_NAME,
    job=relay,
    minimum_interval_seconds=environment.INBOX_INTERVAL.get_or_default(),
    description="Runs job relay for every manifest in IMGRELAY_INBOX, and again when it is written again. Turn it on.",
)
def inbox(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
    """Scan the inbox and request a run for each new manifest."""
    return evaluate_inbox(context, stores)


@dg.sensor(
    name="shards",
    jobs=[relay, *day_jobs],
    minimum_interval_seconds=environment.WATCH_INTERVAL.get_or_default(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Launches the shard runs of a run that has more than max_entries_per_run entries, and no other runs. "
        "Leave it on."
    ),
)
def shards(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
    """Request the next shard runs."""
    requests, cursor, errors = shard_requests(context.instance, stores, context.cursor)
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=cursor)
    return dg.SensorResult(skip_reason="; ".join(errors) or "no run needs shard runs", cursor=cursor)


@dg.sensor(
    name="late_manifests",
    jobs=day_jobs,
    minimum_interval_seconds=environment.LATE_INTERVAL.get_or_default(),
    description=(
        "Relays days (hours, weeks) whose manifest arrived after the schedule's tick, or was rewritten since, for all "
        "daily assets. Checks the last 31 days (IMGRELAY_LATE_DAYS)."
    ),
)
def late_manifests(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
    """Scan the last days for late manifests and request runs for them."""
    scan = scan_late_manifests(context.instance, stores, context.cursor, datetime.now(UTC), day_assets())
    if scan.requests:
        return dg.SensorResult(run_requests=scan.requests, cursor=scan.cursor)
    return dg.SensorResult(skip_reason="; ".join(scan.notes) or "no manifest is late", cursor=scan.cursor)


@dg.sensor(
    name="day_freshness",
    minimum_interval_seconds=environment.LATE_INTERVAL.get_or_default(),
    description=(
        "Evaluates check newest_day_is_relayed of asset daily_manifests, and records each change of its result. "
        "Launches no runs. Turn it on if you relay daily manifests."
    ),
)
def day_freshness(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Record the result of the check if it has changed."""
    evaluations, cursor, description = evaluate_freshness(context.instance, context.cursor, datetime.now(UTC))
    return dg.SensorResult(asset_events=evaluations, skip_reason=description, cursor=cursor)


def _notification_sensor(
    name: str,
    status: dg.DagsterRunStatus,
    description: str,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.RUNNING,
) -> dg.SensorDefinition:
    """A sensor that sends a notification of every run that ends with this status."""

    @dg.run_status_sensor(
        run_status=status,
        name=name,
        minimum_interval_seconds=environment.WATCH_INTERVAL.get_or_default(),
        default_status=default_status,
        description=description,
    )
    def sensor(context: dg.RunStatusSensorContext) -> None:
        send_notification(context)

    return sensor


_TOLD = (
    "Sends a notification of every run that {}: a line in the log file IMGRELAY_FAILURES_LOG and a POST to "
    "IMGRELAY_WEBHOOK_URL, if these are set. Launches no runs. Leave it on."
)
failed_runs = _notification_sensor("failed_runs", dg.DagsterRunStatus.FAILURE, _TOLD.format("fails"))
canceled_runs = _notification_sensor("canceled_runs", dg.DagsterRunStatus.CANCELED, _TOLD.format("is canceled"))
succeeded_runs = _notification_sensor(
    "succeeded_runs",
    dg.DagsterRunStatus.SUCCESS,
    "Posts a notification of every run that succeeds to IMGRELAY_WEBHOOK_URL. Launches no runs. Turn it on to be told "
    "of successes too.",
    dg.DefaultSensorStatus.STOPPED,
)
