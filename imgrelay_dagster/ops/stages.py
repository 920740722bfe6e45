"""Ops `download`, `compose` and `upload`: each takes one task through one stage.

Their priorities (upload > compose > download) finish started tasks before new ones start, so that staging holds at most
about `max_concurrent` tasks. Executors limit concurrent downloads by `STAGE_TAG`. A limit on another stage would break
that order: a slow stage would let the one before it run ahead.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import repeat

import dagster as dg

from imgrelay_dagster.ops.stage_context import stage_context
from imgrelay_dagster.ops.step import Step, TaskInput, stage_tags
from imgrelay_dagster.relay.fetch.host_board import HostBoard
from imgrelay_dagster.relay.outcomes import Record, Stage
from imgrelay_dagster.relay.stages.compose import compose_task
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.download import download_task
from imgrelay_dagster.relay.stages.stored_sources import StoredSources
from imgrelay_dagster.relay.stages.upload import upload_task
from imgrelay_dagster.relay.staging.host_board import StagingBoard
from imgrelay_dagster.relay.staging.tasks import LARGEST_TASK, Task, split_into_tasks
from imgrelay_dagster.resources import HttpResource, StoresResource, TemplatesResource

_RETRY_POLICY = dg.RetryPolicy(max_retries=2, delay=1)
"""For a step whose process is killed. Errors that concern the whole run are not retried."""

_COMPOSE_RETRY_POLICY = dg.RetryPolicy(max_retries=5, delay=1)
"""An image that ends its step's process each time is found within four starts (`relay/stages/restart.py`)."""


@dataclass(frozen=True)
class TaskResult:
    """The result of a task for `report`: which downloads are still to be done, and when.

    Attributes:
        deferred: entries whose download was deferred until all tasks are done.
        retry_at: by entry, the earliest time to ask the entry's server again, in seconds since the epoch.
    """

    deferred: tuple[Record, ...] = ()
    retry_at: Mapping[int, float] = field(default_factory=dict)


@dg.op(tags=stage_tags(Stage.DOWNLOAD, 1), retry_policy=_RETRY_POLICY)
def download(
    context: dg.OpExecutionContext, stores: StoresResource, http: HttpResource, task_input: TaskInput
) -> TaskInput:
    """Fetch every image of the task into staging."""
    return replace(task_input, task=_download(Step(context, task_input.settings, stores), http, task_input.task))


@dg.op(tags=stage_tags(Stage.COMPOSE, 2), retry_policy=_COMPOSE_RETRY_POLICY)
def compose(
    context: dg.OpExecutionContext, stores: StoresResource, templates: TemplatesResource, task_input: TaskInput
) -> TaskInput:
    """Lay the template over every image of the task."""
    return replace(task_input, task=_compose(Step(context, task_input.settings, stores), templates, task_input.task))


@dg.op(tags=stage_tags(Stage.UPLOAD, 3), retry_policy=_RETRY_POLICY)
def upload(
    context: dg.OpExecutionContext,
    stores: StoresResource,
    http: HttpResource,
    templates: TemplatesResource,
    task_input: TaskInput,
) -> TaskResult:
    """Store every composed image of the task under its key, then relay the entries for which the task was full."""
    return _upload_all(Step(context, task_input.settings, stores), http, templates, task_input.task)


def relay_task(step: Step, http: HttpResource, templates: TemplatesResource, task: Task) -> TaskResult:
    """Take a task through all stages, in this process."""
    return _upload_all(step, http, templates, _compose(step, templates, _download(step, http, task)))


def _upload_all(step: Step, http: HttpResource, templates: TemplatesResource, task: Task) -> TaskResult:
    """Upload a composed task, then relay the entries for which it was full."""
    results = [_upload(step, task)]
    name = task.name
    while task.rest:
        task = _download(step, http, task.next_part(name))
        results.append(_upload(step, _compose(step, templates, task)))
    return TaskResult(
        tuple(record for result in results for record in result.deferred),
        {line: at for result in results for line, at in result.retry_at.items()},
    )


def relay_deferred(
    step: Step, http: HttpResource, templates: TemplatesResource, task_results: Iterable[TaskResult]
) -> Iterator[TaskResult]:
    """Download the deferred entries with their full time limits, once, and pass them through all stages.

    Called when every task is done. Yields the result of each task of deferred entries.
    """
    task_results = list(task_results)
    deferred = (record for result in task_results for record in result.deferred)
    retry_at = {entry: at for result in task_results for entry, at in result.retry_at.items()}
    for number, task in enumerate(split_into_tasks(deferred, repeat(LARGEST_TASK)), 1):
        renamed = replace(task, name=f"deferred_{number}", retry_at=retry_at)
        downloaded = _download(step, http, renamed, last_chance=True)
        yield _upload(step, _compose(step, templates, downloaded))


def _download(step: Step, http: HttpResource, task: Task, *, last_chance: bool = False) -> Task:
    with (
        stage_context(step, Stage.DOWNLOAD, task) as context,
        http.downloader(
            context.settings.limits,
            context.stop,
            _host_board(step, context),
            lambda: context.steering.max_requests_per_second,
        ) as downloader,
    ):
        settings = context.settings
        stored = StoredSources(step.stores.open, settings.limits, settings.originals, context.stop)
        return download_task(task, context, downloader, stored, last_chance=last_chance)


def _host_board(step: Step, context: StageContext) -> HostBoard:
    """What the run's steps know about hosts. All shards of a manifest share one board."""
    shard = context.settings.shard
    return StagingBoard(step.stores.staging(shard.coordinator) if shard is not None else context.staging)


def _compose(step: Step, templates: TemplatesResource, task: Task) -> Task:
    with stage_context(step, Stage.COMPOSE, task) as context:
        return compose_task(task, context, templates.open())


def _upload(step: Step, task: Task) -> TaskResult:
    with stage_context(step, Stage.UPLOAD, task) as context:
        finished = upload_task(
            task, context, step.stores.open(context.settings.destination, options=context.settings.image_store)
        )
        return TaskResult(finished.deferred, finished.retry_at)
