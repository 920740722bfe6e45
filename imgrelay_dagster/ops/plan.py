"""Op `plan`: read the manifest, check template and destination, fan out over what is left to do."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from imgrelay_dagster.config import RelayConfig
from imgrelay_dagster.ops.workbench import RunGuard, run_failures
from imgrelay_dagster.relay.manifest import Row, read_lines
from imgrelay_dagster.relay.plan import plan_run
from imgrelay_dagster.relay.progress import Note, StepProgress
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
    """Plan the run and yield one task for each chain of steps."""
    with run_failures(), tempfile.TemporaryDirectory(prefix="imgrelay-plan-") as scratch:
        settings = config.settings()
        made = plan_run(
            _rows(config, stores),
            settings,
            run_id=context.run_id,
            store=stores.open(settings.destination),
            first=stores.open_brief(settings.destination),
            templates=templates.open(),
            scratch=Path(scratch),
            tick=RunGuard(context).check,
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


def _rows(config: RelayConfig, stores: StoresResource) -> Iterator[Row]:
    if config.manifest is not None:
        yield from open_manifest(config.manifest, stores.open)
    elif config.url_lines is not None:
        yield from read_lines(config.url_lines)
    else:
        yield from read_lines(config.urls)
