"""Op `report`: fold the receipts into results, show the counts, decide whether the run succeeded."""

import time
from collections.abc import Iterator
from contextlib import suppress

import dagster as dg

from imgrelay_dagster.ops.asset_checks import CHECKS, check_results, inspected
from imgrelay_dagster.ops.failures import run_failures
from imgrelay_dagster.ops.metadata import summary_metadata
from imgrelay_dagster.ops.plan import Planned
from imgrelay_dagster.ops.run_guard import RunGuard
from imgrelay_dagster.ops.stages import TaskTally, relay_deferred
from imgrelay_dagster.ops.step import Step, priority
from imgrelay_dagster.relay.concurrency.background import in_background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.formatting import most_frequent
from imgrelay_dagster.relay.records.summary import PARTIAL, Summary
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.stores import INTERACTIVE
from imgrelay_dagster.resources import HttpResource, StoresResource, TemplatesResource
from imgrelay_dagster.runs.queries import RELAYED_IMAGES
from imgrelay_dagster.runs.status import counts_tag, joined_summary


@dg.op(
    out={
        "result": dg.Out(dg.Nothing),
        **{name: dg.Out(dg.Nothing, is_required=False, description="Asset check.") for name in CHECKS},
    },
    tags=priority(4),
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def report(
    context: dg.OpExecutionContext,
    stores: StoresResource,
    http: HttpResource,
    templates: TemplatesResource,
    planned: Planned,
    tallies: list[TaskTally],
) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    """Finish what was set aside, write results and summary, then fail the run if too many entries failed.

    Always the run's last step: a failure raised here leaves nothing undone.
    """
    settings = planned.settings
    step = Step(context, settings, stores)
    with run_failures():
        guard = RunGuard(step)
        guard.check()
    late = list(relay_deferred(step, http, templates, tallies))
    with run_failures():
        store = stores.open(settings.destination)
        seconds = time.time() - _started(context)
        dataset, run_id = settings.dataset, context.run_id
        summary = in_background(
            lambda check: write_results(store, dataset, run_id=run_id, seconds=seconds, tick=check), guard.check
        )
        if summary is None:
            raise RelayError(f"run {context.run_id} has neither ledger nor results in {settings.destination!r}")
        guard.let_go()
        context.instance.add_run_tags(context.run_id, counts_tag(summary))
        shard = settings.shard
        joined = joined_summary(context.instance, store, settings.dataset, shard.coordinator) if shard else None
    with suppress(RelayError):  # what is left there, housekeeping clears
        stores.brief_staging(context.run_id).clear()
    if planned.shards:
        context.log.info(f"{planned.entries} entries are cut into {planned.shards} shard runs, which follow")
    else:
        context.log.info(
            f"{summary.uploaded} uploaded, {summary.unchanged} unchanged, {summary.failed} failed, "
            f"{summary.not_attempted} not attempted of {planned.entries} entries in {len(tallies)} tasks"
            + (f", {sum(len(tally.late) for tally in tallies)} of them after the others" if late else "")
        )
    # A day's partition shows what became of its whole manifest.
    told = joined if step.day and joined else summary
    # Those of a run whose shards go on have no stored images yet; this run's own have.
    seen = inspected(stores.open(settings.destination, INTERACTIVE), summary if told.status == PARTIAL else told)
    shown = summary_metadata(told, settings.destination, seen)
    if planned.shards:
        shown = {"shards": dg.MetadataValue.int(planned.shards), **shown}
    failed = next((ended for ended in (summary, told) if ended.status not in ("success", PARTIAL)), None)
    if failed is None or step.day is None:
        yield dg.Output(None, metadata=shown)
    else:  # the day counts as failed, which it would not once it is materialized
        context.log_event(dg.AssetObservation(RELAYED_IMAGES, partition=step.day, metadata=shown))
    if step.day is not None:
        yield from check_results(told, seen)
    if failed is not None:
        metadata = summary_metadata(failed, settings.destination)
        raise dg.Failure(description=why_failed(failed, settings), metadata=metadata, allow_retries=False)


def why_failed(summary: Summary, settings: Settings) -> str:
    """One sentence that says why the run, or its day, counts as failed, and what to do."""
    whole = "all shards together: " if settings.shard and summary.run_id == settings.shard.coordinator else ""
    if summary.not_attempted:
        return (
            f"{whole}{summary.not_attempted} of {summary.entries} entries were not attempted; launch the same manifest "
            "again"
        )
    return (
        f"{whole}{summary.failed} of {summary.entries} entries failed ({summary.failed_percentage:.1f} %), more than "
        f"the tolerated {settings.tolerated_failure_percentage:g} %: {most_frequent(summary.reasons, 5)}; "
        "what was uploaded is kept, and failed.jsonl in the results lists the rest and is itself a manifest"
    )


def _started(context: dg.OpExecutionContext) -> float:
    """When the run started, in seconds since the epoch."""
    record = context.instance.get_run_record_by_id(context.run_id)
    return (record.start_time if record else None) or time.time()
