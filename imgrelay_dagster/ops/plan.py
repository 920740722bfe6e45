"""Op `plan`: read the manifest, check template and destination, fan out over the entries that are left to do."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

import dagster as dg

from imgrelay_dagster.config.executor_choice import steps_leave_this_host
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.ops.dry_run import preview_of
from imgrelay_dagster.ops.failures import fail_run_on_error
from imgrelay_dagster.ops.head_start import HeadStart
from imgrelay_dagster.ops.late_receipts import take_up_late_receipts
from imgrelay_dagster.ops.manifest_rows import RowSource, row_source
from imgrelay_dagster.ops.profile import apply_profile
from imgrelay_dagster.ops.run_guard import RunGuard
from imgrelay_dagster.ops.run_origin import run_origin
from imgrelay_dagster.ops.stages import TaskResult
from imgrelay_dagster.ops.step import Step, TaskInput, check_one_asset, priority_tags, run_settings
from imgrelay_dagster.relay.concurrency.background import call_in_background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.planning.destination_check import check_destination
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.planning.preview import Preview
from imgrelay_dagster.relay.planning.sample import take_sample
from imgrelay_dagster.relay.progress.notes import PLAN_NOTE, StepCounts, StepProgress
from imgrelay_dagster.relay.records.dataset_form import write_form
from imgrelay_dagster.relay.records.dataset_lock import DatasetHeld, acquire_lock, release_lock
from imgrelay_dagster.relay.records.layout import dataset_prefix
from imgrelay_dagster.relay.results.shard_merge import write_shard_plan
from imgrelay_dagster.relay.settings import Sample, Settings
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.addresses import is_remote
from imgrelay_dagster.relay.storage.objects import remove_empty_folders
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE, PROBE
from imgrelay_dagster.relay.storage.scratch_files import scratch_folder
from imgrelay_dagster.relay.storage.store_options import DEFAULT_OPTIONS
from imgrelay_dagster.resources import HttpResource, StoresResource, TemplatesResource
from imgrelay_dagster.runs.process_identity import run_process_identity
from imgrelay_dagster.runs.status import is_over
from imgrelay_dagster.runs.store_tags import store_tags
from imgrelay_dagster.runs.tags import (
    COORDINATOR,
    DATASET_TAG,
    DESTINATION_TAG,
    KIND_TAG,
    MANIFEST_TAG,
    PROCESS_TAG,
    RETRY_TAGS,
)

LOCK_RETRY_INTERVAL = 2.0
"""Seconds between two attempts of a shard run to acquire the lock of its dataset."""


@dataclass(frozen=True)
class PlanResult:
    """What `report` needs to know of the plan.

    Attributes:
        settings: the run's settings.
        entries: lines of the manifest.
        shards: shard runs that this run was split into; 0 if it does everything itself.
        first: the results of the entries that were relayed while the run was planned.
        preview: what the run would do; only of a dry run, which does nothing else.
    """

    settings: Settings
    entries: int
    shards: int = 0
    first: tuple[TaskResult, ...] = ()
    preview: Preview | None = None


def _plan(
    context: dg.OpExecutionContext,
    config: RelayConfig,
    stores: StoresResource,
    http: HttpResource,
    templates: TemplatesResource,
) -> Iterator[dg.Output[PlanResult] | dg.DynamicOutput[TaskInput]]:
    """Check template and destination, plan the run, and yield one task for each chain of steps.

    If too many entries are left to do for one run, request shard runs and yield no task.
    """
    started = time.time()
    with fail_run_on_error():
        check_one_asset(context)
        profiled = apply_profile(context, config, stores)
        config = profiled.config
        settings = run_settings(context, config)
        step = Step(context, settings, stores)
        source = row_source(step, config, http)
        if settings.dry_run:
            preview = preview_of(step, source, templates)
            yield dg.Output(PlanResult(settings, preview.entries, preview=preview), output_name="planned")
            return
        context.instance.add_run_tags(context.run_id, {**_run_tags(settings), **source.tags, **profiled.tags})
        manifest = source.tags.get(MANIFEST_TAG)
        origin = run_origin(context, settings, templates, manifest=manifest, profile=profiled.profile)
        step = replace(step, settings=replace(settings, origin=origin))
        staging = stores.staging(context.run_id)
    with (
        fail_run_on_error(),
        _hold_dataset_lock(step, staging) as locked,
        ExitStack() as temporary,
    ):
        scratch = temporary.enter_context(scratch_folder())
        source, settings = _take_sample(source, locked, step, staging)
        store = stores.open(settings.destination, options=settings.store)
        if not (settings.refresh or settings.retry_permanent):
            staging.note_originals(settings.dataset)
        take_up_late_receipts(step, store, RunGuard(step, staging))
        guard, head_start = RunGuard(step, staging), HeadStart(replace(step, settings=settings), http, templates)

        def tick() -> None:
            guard.check()
            head_start.advance()

        run_plan = call_in_background(
            lambda check: plan_run(
                source.rows(context.log.info),
                settings,
                run_id=context.run_id,
                store=store,
                templates=templates.open(),
                scratch=scratch,
                list_any=partial(stores.list_any, settings.destination) if is_remote(settings.destination) else None,
                tick=check,
                day=step.day,
                tell=context.log.warning,
                note=context.log.info,
                observe=head_start.observe,
            ),
            tick,
        )
        if not run_plan.entries:
            context.log.warning("the list is empty: it has no line with a URL")
        if settings.shard is None:
            write_form(store, settings.dataset, profiled.remembered)
        if run_plan.shards:
            seconds = time.time() - started
            write_shard_plan(store, settings.dataset, context.run_id, shards=run_plan.shards, seconds=seconds)
            context.instance.add_run_tags(context.run_id, {KIND_TAG: COORDINATOR})
        counts = StepCounts(None, run_plan.left, began=time.time())
        StepProgress(staging, PLAN_NOTE, counts).write()
        found = run_plan.tasks(skip=head_start.entries)
        # Not after the first output: if one cannot be stored, Dagster leaves this generator as it is, and Python 3.13
        # does not close it before the process ends.
        temporary.close()
        tasks = largest = 0
        for task in found:
            tasks, largest = tasks + 1, max(largest, len(task.records))
            yield dg.DynamicOutput(TaskInput(task, settings), mapping_key=task.name, output_name="tasks")
        yield dg.Output(
            PlanResult(settings, run_plan.entries, run_plan.shards, tuple(head_start.results)),
            output_name="planned",
            metadata={
                "entries": run_plan.entries,
                "left to do": run_plan.left,
                **({"relayed while planning": head_start.entries} if head_start.entries else {}),
                **({"shards": run_plan.shards} if run_plan.shards else {"tasks": tasks}),
                **({"entries of the largest task": largest} if tasks else {}),
                **{f"already {outcome}": count for outcome, count in run_plan.decided.items()},
            },
        )


_definition: dict[str, Any] = {
    "out": {"planned": dg.Out(PlanResult), "tasks": dg.DynamicOut(TaskInput)},
    "tags": priority_tags(4),
    "retry_policy": dg.RetryPolicy(max_retries=2, delay=1),
}

plan = dg.op(name="plan", **_definition)(_plan)
"""Op `plan` of job `relay`."""

plan_day = dg.op(
    name="plan_day", ins={"day_manifest": dg.In(dg.Nothing, description="The day's manifest.")}, **_definition
)(_plan)
"""The same op for a daily partition: downstream of the day's manifest."""


def _run_tags(settings: Settings) -> dict[str, str]:
    """The tags that housekeeping and retries need."""
    tags = {DATASET_TAG: settings.dataset, DESTINATION_TAG: settings.destination, **RETRY_TAGS}
    if not steps_leave_this_host():  # otherwise the run's own process sets this tag
        tags[PROCESS_TAG] = run_process_identity()
    return tags


def _take_sample(source: RowSource, settings: Settings, step: Step, staging: Staging) -> tuple[RowSource, Settings]:
    """Replace the lines of a sample's run by some of them; then the settings name the number of all lines."""
    if settings.sample is None:
        return source, settings
    size, log, random = settings.sample.size, step.context.log, Random(step.context.run_id)  # nosec B311
    rows, total = call_in_background(
        lambda check: take_sample(source.rows(log.info), size, random, check),
        RunGuard(step, staging).check,
    )
    log.info(f"relaying a random sample of {len(rows)} of {total} entries")
    return replace(source, rows=lambda _: iter(rows)), replace(settings, sample=Sample(size, total))


@contextmanager
def _hold_dataset_lock(step: Step, staging: Staging) -> Iterator[Settings]:
    """Acquire the lock of the run's dataset; keep it unless the run cannot be planned.

    Yields the run's settings, completed with what the destination supports.

    Raises:
        RelayError: the destination does not take objects.
        DatasetHeld: another run holds the lock, and this is no shard run. A shard run waits.
    """
    context, settings = step.context, step.settings
    has_ended = partial(is_over, context.instance)
    open_probe = partial(step.stores.open, settings.destination, PROBE)
    features = call_in_background(
        lambda _: check_destination(lambda options: open_probe(options=options), settings, context.run_id),
        RunGuard(step, staging).check,
    )
    for notice in features.notices:
        context.log.warning(notice)
    settings = replace(settings, store=features.options)
    if settings.store != DEFAULT_OPTIONS:
        context.instance.add_run_tags(context.run_id, store_tags(settings.store))
    step = replace(step, settings=settings)
    store = step.stores.open(settings.destination, INTERACTIVE, settings.store)
    probe_store = open_probe(options=settings.store)
    while True:
        # A new guard each time: an older one would refresh the lock, which the other run holds.
        tick = RunGuard(step, staging).check
        try:
            call_in_background(
                lambda _: acquire_lock(
                    probe_store,
                    settings.dataset,
                    context.run_id,
                    is_over=has_ended,
                    conditional_writes=features.conditional_writes,
                ),
                tick,
            )
            break
        except DatasetHeld:
            if settings.shard is None:
                raise
        # The run queue lets one run per dataset start. A shard run that starts while another run holds the lock waits.
        tick()
        time.sleep(LOCK_RETRY_INTERVAL)
    try:
        yield settings
    except RelayError:
        release_lock(store, settings.dataset, context.run_id)
        remove_empty_folders(store, dataset_prefix(settings.dataset))
        raise
