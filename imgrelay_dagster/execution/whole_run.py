"""Re-execution of a part of a run, turned into a re-execution of the whole run.

"From failure" and "From selected" execute some steps of an earlier run again and load the outputs of the others. Those
outputs are gone: records lie in the scratch space of the earlier run, which is cleared at its end. All steps together
do what is left, because receipts record which entries are done.
"""

from collections.abc import Generator, Iterator
from typing import cast

import dagster as dg

# Private names, as in dagster 1.13.27.
from dagster._core.events import EngineEventData
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.base import Executor
from dagster._core.snap.execution_plan_snapshot import (
    create_execution_plan_snapshot_id,
    snapshot_from_execution_plan,
)
from dagster._core.storage.runs.base import RunStorage

from imgrelay_dagster.execution.scratch_space import clear_scratch_space_after

MESSAGE = (
    "Executing all steps, not only those that were selected: the outputs of the earlier run are gone. The receipts of "
    "earlier runs tell what is done, so that only what is left is relayed."
)
"""The line in the log of a run that was launched with a part of the steps."""


def all_steps(
    plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
) -> Generator[dg.DagsterEvent, None, PlanOrchestrationContext]:
    """Return a context for all steps if the run was launched with a part of them, otherwise the given context.

    Yields the event that says so in the run's log. The run's record changes too: its page shows all steps, and
    re-executing it again starts from all of them.
    """
    if plan_context.dagster_run.step_keys_to_execute is None:
        return plan_context
    yield dg.DagsterEvent.engine_event(plan_context, MESSAGE, EngineEventData({}))
    instance = plan_context.instance
    run = instance.get_run_by_id(plan_context.run_id) or plan_context.dagster_run
    plan = create_execution_plan(
        plan_context.reconstructable_job,
        run_config=plan_context.run_config,
        instance_ref=instance.get_ref() if instance.is_persistent else None,
        tags=run.tags,
        repository_load_data=execution_plan.repository_load_data,
    )
    whole_run = _record_as_whole(instance.run_storage, run, plan)
    return PlanOrchestrationContext(
        plan_context.plan_data._replace(dagster_run=whole_run, execution_plan=plan),
        plan_context.log,
        plan_context.executor,
        plan_context.output_capture,
    )


def _record_as_whole(storage: RunStorage, run: dg.DagsterRun, plan: ExecutionPlan) -> dg.DagsterRun:
    """The run as one of all steps. Stored as such, unless a process without a code location launched it."""
    whole_run = run._replace(step_keys_to_execute=None)
    origin, job_snapshot = run.remote_job_origin, run.job_snapshot_id
    if origin is None or job_snapshot is None:
        return whole_run
    snapshot = snapshot_from_execution_plan(plan, job_snapshot)
    snapshot_id = create_execution_plan_snapshot_id(snapshot)
    if not storage.has_execution_plan_snapshot(snapshot_id):
        storage.add_execution_plan_snapshot(snapshot)
    whole_run = whole_run._replace(execution_plan_snapshot_id=snapshot_id)
    # The one method of a run storage that stores a changed run; the origin stays the same.
    storage.replace_job_origin(whole_run, origin)
    return whole_run


class AllStepsExecutor(Executor):
    """Another executor that always executes all steps of a run."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    @property
    def retries(self) -> RetryMode:
        """Whether steps are retried."""
        return self._executor.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """When a step may start."""
        return self._executor.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Execute the plan's steps; yields their events."""
        whole = yield from all_steps(plan_context, execution_plan)
        events = cast(Generator[dg.DagsterEvent, None, None], self._executor.execute(whole, whole.execution_plan))
        yield from clear_scratch_space_after(whole, events)
