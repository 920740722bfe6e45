"""Op `report`: fold the receipts into results, show the counts, decide whether the run succeeded."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import dagster as dg

from imgrelay_dagster.config.host_classes import host_classes
from imgrelay_dagster.ops.asset_checks import CHECKS, check_results, try_inspect
from imgrelay_dagster.ops.dry_run import preview_metadata
from imgrelay_dagster.ops.failures import fail_run_on_error
from imgrelay_dagster.ops.metadata import summary_metadata
from imgrelay_dagster.ops.plan import PlanResult
from imgrelay_dagster.ops.run_guard import RunGuard
from imgrelay_dagster.ops.stages import TaskResult, relay_deferred
from imgrelay_dagster.ops.step import Step, priority_tags
from imgrelay_dagster.relay.concurrency.background import call_in_background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.formatting import most_frequent
from imgrelay_dagster.relay.records.summary import PARTIAL, Summary
from imgrelay_dagster.relay.results.failed_rows import first_failed
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import HttpResource, StoresResource, TemplatesResource
from imgrelay_dagster.runs.adjustments import present_adjustments
from imgrelay_dagster.runs.status import results_tags, tag_coordinator


def _report(
    context: dg.OpExecutionContext,
    stores: StoresResource,
    http: HttpResource,
    templates: TemplatesResource,
    planned: PlanResult,
    task_results: list[TaskResult],
) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    """Finish the deferred downloads, write results and summary, then fail the run if too many entries failed.

    This is always the run's last step: a failure raised here leaves no work undone.
    """
    settings = planned.settings
    if planned.preview is not None:
        yield dg.Output(None, metadata=preview_metadata(planned.preview))
        return
    step = Step(context, settings, stores)
    with fail_run_on_error():
        guard = RunGuard(step, stores.staging(context.run_id))
        guard.check()
    task_results = [*planned.first, *task_results]
    deferred = list(relay_deferred(step, http, templates, task_results))
    with fail_run_on_error():
        store = stores.open(settings.destination, options=settings.store)
        seconds = time.time() - _run_start_time(context)
        adjustments = present_adjustments(context.instance, context.run_id)
        dataset, run_id = settings.dataset, context.run_id
        summary = call_in_background(
            lambda check: write_results(
                store,
                dataset,
                run_id=run_id,
                seconds=seconds,
                tick=check,
                adjustments=adjustments,
                host_class=host_classes(),
            ),
            guard.check,
        )
        if summary is None:
            raise RelayError(f"run {context.run_id} has neither ledger nor results in {settings.destination!r}")
        guard.release_dataset()
        context.instance.add_run_tags(context.run_id, results_tags(summary))
        shard = settings.shard
        merged = tag_coordinator(context.instance, store, settings.dataset, shard.coordinator) if shard else None
    if planned.shards:
        context.log.info(f"split {planned.entries} entries into {planned.shards} shard runs")
    else:
        context.log.info(
            f"{summary.uploaded} uploaded, {summary.unchanged} unchanged, {summary.failed} failed, "
            f"{summary.not_attempted} not attempted of {planned.entries} entries in {len(task_results)} tasks"
            + (f", {sum(len(result.deferred) for result in task_results)} of them deferred" if deferred else "")
        )
    notes = (summary.compared and summary.compared.sentence(), summary.forecast and summary.forecast.sentence())
    for note in filter(None, notes):
        context.log.info(note)
    # A partition shows the results of its whole manifest, so the shard run of one shows the merged summary.
    reported = merged if step.asset is not None and merged else summary
    # The merged results list stored images only when every shard is done; until then inspect those of this run.
    inspected = summary if reported.status == PARTIAL else reported
    inspection = try_inspect(stores.open(settings.destination, INTERACTIVE), inspected)
    failed_rows = first_failed(store, reported.dataset, reported.run_id) if reported.failed else []
    metadata = summary_metadata(reported, settings.destination, inspection, failed_rows)
    if planned.shards:
        metadata = {"shards": dg.MetadataValue.int(planned.shards), **metadata}
    failed = next((each for each in (summary, reported) if each.status not in ("success", PARTIAL)), None)
    asset = step.asset
    if failed is None or asset is None:
        yield dg.Output(None, output_name="result", metadata=metadata)
    else:  # a materialization would show the failed day as done
        context.log_event(dg.AssetObservation(asset.key, partition=step.period, metadata=metadata))
    if asset is not None:
        yield from check_results(reported, inspection, asset.key)
    if not settings.keep_originals:
        with suppress(RelayError):
            stores.brief_staging(context.run_id).forget_originals(settings.dataset)
    if failed is not None:
        with suppress(RelayError):  # after a success, the run's process does it (`execution/scratch_space.py`)
            stores.brief_staging(context.run_id).clear()
        raise dg.Failure(
            description=failure_description(failed, settings.with_adjustments(adjustments)),
            metadata=summary_metadata(failed, settings.destination),
            allow_retries=False,
        )


_definition: dict[str, Any] = {"tags": priority_tags(4), "retry_policy": dg.RetryPolicy(max_retries=2, delay=1)}

report = dg.op(name="report", out=dg.Out(dg.Nothing), **_definition)(_report)
"""Op `report` of job `relay`."""

report_day = dg.op(
    name="report_day",
    # Checks are required, so that "From asset failure" selects asset and checks together: one step makes all of them.
    out={"result": dg.Out(dg.Nothing), **{name: dg.Out(dg.Nothing, description="Asset check.") for name in CHECKS}},
    **_definition,
)(_report)
"""The same op for a daily partition: it also evaluates the asset's checks."""


def failure_description(summary: Summary, settings: Settings) -> str:
    """One sentence: why the run, or the whole manifest that it is a shard of, counts as failed, and what to do."""
    scope = "all shards together: " if settings.shard and summary.run_id == settings.shard.coordinator else ""
    if summary.not_attempted:
        return (
            f"{scope}{summary.not_attempted} of {summary.entries} entries were not attempted; launch the same manifest "
            "again"
        )
    return (
        f"{scope}{summary.failed} of {summary.entries} entries failed ({summary.failed_percentage:.1f} %), more than "
        f"the tolerated {settings.tolerated_failure_percentage:g} %: {most_frequent(summary.reasons, 5)}; "
        "what was uploaded is kept, and failed.jsonl in the results lists the rest and is itself a manifest"
    )


def _run_start_time(context: dg.OpExecutionContext) -> float:
    """When the run started, in seconds since the epoch."""
    record = context.instance.get_run_record_by_id(context.run_id)
    return (record.start_time if record else None) or time.time()
