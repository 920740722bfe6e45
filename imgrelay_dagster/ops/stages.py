"""Ops `download`, `compose` and `upload`: one task through one stage each.

Their priorities make work begun finish before new work begins (upload > compose > download), so that at most
about `max_concurrent` tasks lie in staging. Limits by tag or pool would undo that: there are none.
"""

from dataclasses import dataclass

import dagster as dg

from imgrelay_dagster.config import RelayOptions
from imgrelay_dagster.ops.workbench import workbench
from imgrelay_dagster.relay import stages
from imgrelay_dagster.relay.outcomes import Outcome, Stage
from imgrelay_dagster.relay.stages import Bench
from imgrelay_dagster.relay.tasks import Task
from imgrelay_dagster.resources import HttpResource, StoresResource, TemplatesResource

_AGAIN = dg.RetryPolicy(max_retries=2, delay=1)
"""For a step whose process is killed; what concerns the whole run is not tried again."""


@dataclass(frozen=True)
class TaskTally:
    """What `report` is told of a task: how many of its entries reached the store."""

    task: str
    uploaded: int


@dg.op(tags={"dagster/priority": "1"}, retry_policy=_AGAIN)
def download(
    context: dg.OpExecutionContext,
    config: RelayOptions,
    stores: StoresResource,
    http: HttpResource,
    task: Task,
) -> Task:
    """Fetch every image of the task into staging."""
    with workbench(context, config, stores, Stage.DOWNLOAD, task) as bench:
        downloader = http.downloader(bench.settings.limits, bench.stop)
        try:
            remaining = stages.download(task, bench, downloader)
        finally:
            downloader.close()
        context.add_output_metadata(_counts(task, bench))
        return remaining


@dg.op(tags={"dagster/priority": "2"}, retry_policy=_AGAIN)
def compose(
    context: dg.OpExecutionContext,
    config: RelayOptions,
    stores: StoresResource,
    templates: TemplatesResource,
    task: Task,
) -> Task:
    """Lay the template over every image of the task."""
    with workbench(context, config, stores, Stage.COMPOSE, task) as bench:
        remaining = stages.compose_task(task, bench, templates.open())
        context.add_output_metadata(_counts(task, bench))
        return remaining


@dg.op(tags={"dagster/priority": "3"}, retry_policy=_AGAIN)
def upload(
    context: dg.OpExecutionContext, config: RelayOptions, stores: StoresResource, task: Task
) -> TaskTally:
    """Store every composed image of the task under its key."""
    with workbench(context, config, stores, Stage.UPLOAD, task) as bench:
        stages.upload(task, bench, stores.open(bench.settings.destination))
        context.add_output_metadata(_counts(task, bench))
        return TaskTally(task.name, bench.receipts.counts[Outcome.UPLOADED])


def _counts(task: Task, bench: Bench) -> dict[str, int]:
    """What the step did, for its row on the run page."""
    return {"entries": len(task.records), **{str(name): count for name, count in bench.receipts.counts.items()}}
