"""Ops `download`, `compose` and `upload`: one task through one stage each.

Their priorities make work begun finish before new work begins (upload > compose > download), so that at most
about `max_concurrent` tasks lie in staging. Limits by tag or pool would undo that: there are none.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import dagster as dg

from imgrelay_dagster.ops.stage_context import stage_context
from imgrelay_dagster.ops.step import Step, TaskInput, priority
from imgrelay_dagster.relay.outcomes import Outcome, Record, Stage
from imgrelay_dagster.relay.stages.compose import compose_task
from imgrelay_dagster.relay.stages.download import download_task
from imgrelay_dagster.relay.stages.upload import upload_task
from imgrelay_dagster.relay.staging.tasks import LARGEST_TASK, Task, cut
from imgrelay_dagster.resources import HttpResource, StoresResource, TemplatesResource

_AGAIN = dg.RetryPolicy(max_retries=2, delay=1)
"""For a step whose process is killed; what concerns the whole run is not tried again."""


@dataclass(frozen=True)
class TaskTally:
    """What `report` is told of a task: how many of its entries reached the store, which were set aside until when."""

    task: str
    uploaded: int
    late: tuple[Record, ...] = ()
    due: Mapping[int, float] = field(default_factory=dict)


@dg.op(tags=priority(1), retry_policy=_AGAIN)
def download(
    context: dg.OpExecutionContext, stores: StoresResource, http: HttpResource, assigned: TaskInput
) -> TaskInput:
    """Fetch every image of the task into staging."""
    return replace(assigned, task=_download(Step(context, assigned.settings, stores), http, assigned.task))


@dg.op(tags=priority(2), retry_policy=_AGAIN)
def compose(
    context: dg.OpExecutionContext, stores: StoresResource, templates: TemplatesResource, assigned: TaskInput
) -> TaskInput:
    """Lay the template over every image of the task."""
    return replace(assigned, task=_compose(Step(context, assigned.settings, stores), templates, assigned.task))


@dg.op(tags=priority(3), retry_policy=_AGAIN)
def upload(context: dg.OpExecutionContext, stores: StoresResource, assigned: TaskInput) -> TaskTally:
    """Store every composed image of the task under its key."""
    return _upload(Step(context, assigned.settings, stores), assigned.task)


def relay_deferred(
    step: Step, http: HttpResource, templates: TemplatesResource, tallies: Iterable[TaskTally]
) -> Iterator[TaskTally]:
    """Give what was set aside its full time limits, one last time; called once everything else is done."""
    tallies = list(tallies)
    late = (record for tally in tallies for record in tally.late)
    due = {line: at for tally in tallies for line, at in tally.due.items()}
    for number, task in enumerate(cut(late, LARGEST_TASK), 1):
        named = replace(task, name=f"late_{number}", due=due)
        downloaded = _download(step, http, named, last_chance=True)
        yield _upload(step, _compose(step, templates, downloaded))


def _download(step: Step, http: HttpResource, task: Task, *, last_chance: bool = False) -> Task:
    with (
        stage_context(step, Stage.DOWNLOAD, task) as bench,
        http.downloader(bench.settings.limits, bench.stop) as downloader,
    ):
        return download_task(task, bench, downloader, last_chance=last_chance)


def _compose(step: Step, templates: TemplatesResource, task: Task) -> Task:
    with stage_context(step, Stage.COMPOSE, task) as bench:
        return compose_task(task, bench, templates.open())


def _upload(step: Step, task: Task) -> TaskTally:
    with stage_context(step, Stage.UPLOAD, task) as bench:
        finished = upload_task(task, bench, step.stores.open(bench.settings.destination))
        return TaskTally(task.name, bench.receipts.counts[Outcome.UPLOADED], finished.late, finished.due)
