"""Op `plan`: read the manifest, check template and destination, fan out over what is left to do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from imgrelay_dagster.config import RelayConfig
from imgrelay_dagster.housekeeping import is_over, run_process
from imgrelay_dagster.ops.workbench import RunGuard, Step, run_failures
from imgrelay_dagster.partitions import find_day, where
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.lock import release, take
from imgrelay_dagster.relay.manifest import Row, read_lines
from imgrelay_dagster.relay.plan import check_destination, plan_run
from imgrelay_dagster.relay.progress import PLAN_NOTE, Note, StepProgress
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.sources import open_manifest
from imgrelay_dagster.relay.tasks import Task
from imgrelay_dagster.resources import StoresResource, TemplatesResource
from imgrelay_dagster.tags import DATASET_TAG, DESTINATION_TAG, MANIFEST_TAG, PROCESS_TAG, RETRY_TAGS


@dataclass(frozen=True)
class Planned:
    """What `report` is told of the plan."""

    entries: int
    tasks: int


@dg.op(
    ins={"day_manifest": dg.In(dg.Nothing, description="Daily drops only: the day's manifest, as an asset.")},
    out={"planned": dg.Out(Planned), "tasks": dg.DynamicOut(Task)},
    tags={"dagster/priority": "4"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def plan(
    context: dg.OpExecutionContext,
    config: RelayConfig,
    stores: StoresResource,
    templates: TemplatesResource,
) -> Iterator[dg.Output[Planned] | dg.DynamicOutput[Task]]:
    """Check template and destination, plan the run, and yield one task for each chain of steps."""
    step = Step(context, config, stores)
    with run_failures():
        settings, manifest = step.settings, _manifest(step, config)
        context.instance.add_run_tags(context.run_id, _run_tags(manifest, settings))
    with run_failures(), _dataset_held(context, stores, settings), TemporaryDirectory(prefix="imgrelay-") as scratch:
        made = plan_run(
            _rows(config, manifest, stores),
            settings,
            run_id=context.run_id,
            store=stores.open(settings.destination),
            templates=templates.open(),
            scratch=Path(scratch),
            tick=RunGuard(step).check,
        )
        StepProgress(stores.staging(context.run_id), PLAN_NOTE, Note(None, made.left, began=time.time())).write()
        tasks = 0
        for task in made.tasks():
            tasks += 1
            yield dg.DynamicOutput(task, mapping_key=task.name, output_name="tasks")
        yield dg.Output(
            Planned(made.entries, tasks),
            output_name="planned",
            metadata={
                "entries": made.entries,
                "left to do": made.left,
                "tasks": tasks,
                "entries per task": made.task_size if tasks else 0,
                **{f"already {outcome}": count for outcome, count in made.decided.items()},
            },
        )


def _manifest(step: Step, config: RelayConfig) -> str | None:
    """The address of the run's manifest; None when it was given its URLs."""
    if step.day is None:
        return config.manifest
    found = find_day(step.day, step.stores.open_brief)
    if found is None:
        raise RelayError(
            f"there is no manifest of day {step.day}; looked for {where(step.day)}; put it there and launch again"
        )
    return found.address


def _run_tags(manifest: str | None, settings: Settings) -> dict[str, str]:
    """What whoever looks after the run needs to know of it."""
    tags = {
        DATASET_TAG: settings.dataset,
        DESTINATION_TAG: settings.destination,
        PROCESS_TAG: run_process(),
        **RETRY_TAGS,
    }
    return {**tags, MANIFEST_TAG: manifest} if manifest else tags


@contextmanager
def _dataset_held(context: dg.OpExecutionContext, stores: StoresResource, settings: Settings) -> Iterator[None]:
    """Hold the dataset for this run from here on; let go of it when it cannot be planned."""
    store = stores.open_brief(settings.destination)
    check_destination(store, settings, context.run_id)
    take(store, settings.dataset, context.run_id, is_over=lambda run_id: is_over(context.instance, run_id))
    try:
        yield
    except RelayError:
        release(store, settings.dataset, context.run_id)
        raise


def _rows(config: RelayConfig, manifest: str | None, stores: StoresResource) -> Iterator[Row]:
    if manifest is not None:
        yield from open_manifest(manifest, stores.open)
    elif config.url_lines is not None:
        yield from read_lines(config.url_lines)
    elif config.urls:
        yield from read_lines(config.urls)
    else:
        raise RelayError("this run was given no day; launch asset relayed_images with a partition")
