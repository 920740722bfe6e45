"""Op `plan`: read the manifest, check template and destination, fan out over what is left to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from imgrelay_dagster.config import RelayConfig
from imgrelay_dagster.housekeeping import DATASET_TAG, DESTINATION_TAG, MANIFEST_TAG, PROCESS_TAG, is_over, run_process
from imgrelay_dagster.ops.workbench import RunGuard, Step, run_failures
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.lock import release, take
from imgrelay_dagster.relay.manifest import Row, read_lines
from imgrelay_dagster.relay.plan import check_destination, plan_run
from imgrelay_dagster.relay.progress import Note, StepProgress
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.sources import open_manifest
from imgrelay_dagster.relay.tasks import Task
from imgrelay_dagster.resources import StoresResource, TemplatesResource


@dataclass(frozen=True)
class Planned:
    """What `report` is told of the plan."""

    entries: int
    tasks: int


@dg.op(
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
    settings = config.settings()
    context.instance.add_run_tags(context.run_id, _run_tags(config, settings))
    with run_failures(), _dataset_held(context, stores, settings), TemporaryDirectory(prefix="imgrelay-") as scratch:
        made = plan_run(
            _rows(config, stores),
            settings,
            run_id=context.run_id,
            store=stores.open(settings.destination),
            templates=templates.open(),
            scratch=Path(scratch),
            tick=RunGuard(Step(context, config, stores)).check,
        )
        StepProgress(stores.staging(context.run_id), "plan", Note(None, made.left)).write()
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


def _run_tags(config: RelayConfig, settings: Settings) -> dict[str, str]:
    """What whoever looks after the run needs to know of it."""
    tags = {
        DATASET_TAG: settings.dataset,
        DESTINATION_TAG: settings.destination,
        PROCESS_TAG: run_process(),
    }
    return {**tags, MANIFEST_TAG: config.manifest} if config.manifest else tags


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


def _rows(config: RelayConfig, stores: StoresResource) -> Iterator[Row]:
    if config.manifest is not None:
        yield from open_manifest(config.manifest, stores.open)
    elif config.url_lines is not None:
        yield from read_lines(config.url_lines)
    else:
        yield from read_lines(config.urls)
