"""Op `plan`: read the manifest, check template and destination, fan out over what is left to do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from imgrelay_dagster.config.executor_choice import steps_leave_this_host
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.ops.failures import run_failures
from imgrelay_dagster.ops.manifest_rows import source_of
from imgrelay_dagster.ops.run_guard import RunGuard
from imgrelay_dagster.ops.step import Step, TaskInput, priority, run_settings
from imgrelay_dagster.relay.concurrency.background import in_background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.planning.planner import check_destination, plan_run
from imgrelay_dagster.relay.progress.notes import PLAN_NOTE, StepCounts, StepProgress
from imgrelay_dagster.relay.records.dataset_lock import DatasetHeld, acquire_lock, release_lock
from imgrelay_dagster.relay.results.shard_merge import write_shard_plan
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.stores import INTERACTIVE, PROBE, is_s3
from imgrelay_dagster.resources import StoresResource, TemplatesResource
from imgrelay_dagster.runs.process_identity import run_process
from imgrelay_dagster.runs.status import is_over
from imgrelay_dagster.runs.tags import COORDINATOR, DATASET_TAG, DESTINATION_TAG, KIND_TAG, PROCESS_TAG, RETRY_TAGS

WAIT = 2.0
"""Seconds between two tries of a shard run to get hold of its dataset."""


@dataclass(frozen=True)
class Planned:
    """What `report` is told of the plan. `shards`: into how many runs this one was cut, 0 if it does everything."""

    settings: Settings
    entries: int
    tasks: int
    shards: int = 0


@dg.op(
    ins={"day_manifest": dg.In(dg.Nothing, description="Daily drops only: the day's manifest, as an asset.")},
    out={"planned": dg.Out(Planned), "tasks": dg.DynamicOut(TaskInput)},
    tags=priority(4),
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def plan(
    context: dg.OpExecutionContext,
    config: RelayConfig,
    stores: StoresResource,
    templates: TemplatesResource,
) -> Iterator[dg.Output[Planned] | dg.DynamicOutput[TaskInput]]:
    """Check template and destination, plan the run, and yield one task for each chain of steps.

    With too much left to do for one run, ask for shard runs and yield no task.
    """
    began = time.time()
    with run_failures():
        settings = run_settings(context, config)
        step = Step(context, settings, stores)
        source = source_of(step, config)
        context.instance.add_run_tags(context.run_id, {**_run_tags(settings), **source.tags})
    with run_failures(), _dataset_held(step), TemporaryDirectory(prefix="imgrelay-") as scratch:
        store = stores.open(settings.destination)
        made = in_background(
            lambda check: plan_run(
                source.rows(),
                settings,
                run_id=context.run_id,
                store=store,
                templates=templates.open(),
                scratch=Path(scratch),
                list_any=partial(stores.list_any, settings.destination) if is_s3(settings.destination) else None,
                tick=check,
            ),
            RunGuard(step).check,
        )
        if made.shards:
            seconds = time.time() - began
            write_shard_plan(store, settings.dataset, context.run_id, shards=made.shards, seconds=seconds)
            context.instance.add_run_tags(context.run_id, {KIND_TAG: COORDINATOR})
        StepProgress(stores.staging(context.run_id), PLAN_NOTE, StepCounts(None, made.left, began=time.time())).write()
        tasks = 0
        for task in made.tasks():
            tasks += 1
            yield dg.DynamicOutput(TaskInput(task, settings), mapping_key=task.name, output_name="tasks")
        yield dg.Output(
            Planned(settings, made.entries, tasks, made.shards),
            output_name="planned",
            metadata={
                "entries": made.entries,
                "left to do": made.left,
                **({"shards": made.shards} if made.shards else {"tasks": tasks}),
                **({"entries per task": made.task_size} if tasks else {}),
                **{f"already {outcome}": count for outcome, count in made.decided.items()},
            },
        )


def _run_tags(settings: Settings) -> dict[str, str]:
    """What whoever looks after the run needs to know of it."""
    tags = {DATASET_TAG: settings.dataset, DESTINATION_TAG: settings.destination, **RETRY_TAGS}
    if not steps_leave_this_host():  # else the run's process says so itself
        tags[PROCESS_TAG] = run_process()
    return tags


@contextmanager
def _dataset_held(step: Step) -> Iterator[None]:
    """Hold the dataset for this run from here on; let go of it when it cannot be planned."""
    context, settings = step.context, step.settings
    store, first = step.stores.open(settings.destination, INTERACTIVE), step.stores.open(settings.destination, PROBE)
    over = partial(is_over, context.instance)
    in_background(lambda _: check_destination(first, settings, context.run_id), RunGuard(step).check)
    while True:
        # A new guard each time, for one that is kept would renew the other run's hold.
        tick = RunGuard(step).check
        try:
            in_background(lambda _: acquire_lock(first, settings.dataset, context.run_id, is_over=over), tick)
            break
        except DatasetHeld:
            if settings.shard is None:
                raise
        # The run queue holds shards back; one that slips past it, or past a run launched by hand, waits here.
        tick()
        time.sleep(WAIT)
    try:
        yield
    except RelayError:
        release_lock(store, settings.dataset, context.run_id)
        raise
