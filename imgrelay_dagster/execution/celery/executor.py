"""Submits steps to Celery workers from the run's process, with dagster-celery's own loop.

That loop submits every step that is ready. This executor limits it to `max_concurrent` steps at the same time, in the
order of their priorities, so that a new task starts only when no step of the tasks in staging is ready.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dagster as dg
from celery.backends.redis import RedisBackend
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import pack_value
from dagster_celery.config import TASK_EXECUTE_PLAN_NAME
from dagster_celery.core_execution_loop import core_celery_execution_loop
from dagster_celery.executor import CeleryExecutor
from kombu.exceptions import OperationalError

from imgrelay_dagster.config.defaults import checked_max_concurrent
from imgrelay_dagster.execution.celery.settings import (
    backend_url,
    broker_priority,
    broker_url,
    celery_settings,
    make_celery_app,
)
from imgrelay_dagster.execution.celery.step_result import CeleryStepResult
from imgrelay_dagster.execution.download_limit import download_limit
from imgrelay_dagster.execution.scratch_space import clear_scratch_space_after
from imgrelay_dagster.execution.whole_run import all_steps
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.dataset_lock import REFRESH_INTERVAL, lock_holder, refresh_lock
from imgrelay_dagster.relay.redact import redact, redact_text
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import build_stores
from imgrelay_dagster.runs.process_identity import current_process_identity
from imgrelay_dagster.runs.store_tags import store_options
from imgrelay_dagster.runs.tags import DATASET_TAG, DESTINATION_TAG, PROCESS_TAG

CONNECT_LIMIT = 5.0
"""Seconds in which the broker must answer when a run starts."""


class RelayCeleryExecutor(CeleryExecutor):
    """dagster-celery's executor with a limit on the number of submitted steps."""

    def __init__(self, max_concurrent: int) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            retries=RetryMode.ENABLED, broker=broker_url(), backend=backend_url(), config_source=celery_settings()
        )
        self._max_concurrent = max_concurrent

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Execute the plan on the available workers, which may start and stop at any time."""
        check_broker()
        run = plan_context.dagster_run
        plan_context.instance.add_run_tags(run.run_id, {PROCESS_TAG: current_process_identity()})
        if not _any_worker_answers():
            plan_context.log.warning(
                "No Celery worker answers. The run's steps wait until one is started: "
                "celery -A imgrelay_dagster.on_celery.worker worker"
            )
        whole = yield from all_steps(plan_context, execution_plan)
        with _dataset_lock_refreshed(plan_context.instance, run.run_id):
            plan = _LimitedPlan.of(whole.execution_plan, self._max_concurrent)
            events = core_celery_execution_loop(whole, plan, step_execution_fn=_submit_step)  # type: ignore[no-untyped-call]
            yield from clear_scratch_space_after(whole, events)


@dg.executor(
    name="celery",
    config_schema={
        "max_concurrent": dg.Field(
            int, default_value=0, description="Steps at the same time; 0: $IMGRELAY_MAX_CONCURRENT."
        )
    },
    requirements=dg.multiple_process_executor_requirements(),
)
def celery_executor(context: dg.InitExecutorContext) -> RelayCeleryExecutor:
    """Runs steps on Celery workers."""
    max_concurrent = context.executor_config["max_concurrent"]
    assert isinstance(max_concurrent, int)
    return RelayCeleryExecutor(checked_max_concurrent(max_concurrent))


def check_broker() -> None:
    """Check that the broker answers.

    Raises:
        RelayError: the broker cannot be reached.
    """
    try:
        with make_celery_app().connection_for_write(connect_timeout=CONNECT_LIMIT) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.5, timeout=CONNECT_LIMIT)
    except (OperationalError, OSError) as error:
        raise RelayError(
            f"the Celery broker {redact(broker_url())!r} cannot be reached: {redact_text(str(error))[:200]}; "
            "start it, or set IMGRELAY_CELERY_BROKER"
        ) from None


class _LimitedPlan(ExecutionPlan):
    """An execution plan with at most `max_concurrent` steps in flight, of which some may be downloads."""

    max_concurrent: int

    @classmethod
    def of(cls, plan: ExecutionPlan, max_concurrent: int) -> "_LimitedPlan":
        limited = cls(*plan)
        limited.max_concurrent = max_concurrent
        return limited

    def start(self, *args: Any, **kwargs: Any) -> ActiveExecution:
        limits = {
            "max_concurrent": self.max_concurrent,
            "tag_concurrency_limits": download_limit(self.max_concurrent),
        }
        return super().start(*args, **{**kwargs, **limits})


def _submit_step(
    app: Any,
    plan_context: PlanOrchestrationContext,
    step: ExecutionStep,
    queue: str,
    priority: int,
    known_state: KnownExecutionState,
) -> CeleryStepResult:
    """Do what dagster-celery's own `_submit_task` does, with the priority converted to the broker's scale."""
    job = plan_context.reconstructable_job
    arguments = ExecuteStepArgs(
        job_origin=job.get_python_origin(),
        run_id=plan_context.run_id,
        step_keys_to_execute=[step.key],
        instance_ref=plan_context.instance.get_ref(),
        retry_mode=plan_context.executor.retries.for_inner_plan(),
        known_state=known_state,
        print_serialized_events=True,
    )
    result = app.send_task(
        TASK_EXECUTE_PLAN_NAME,
        kwargs={"execute_step_args_packed": pack_value(arguments), "executable_dict": job.to_dict()},
        priority=broker_priority(priority),
        queue=queue,
        routing_key=f"{queue}.{TASK_EXECUTE_PLAN_NAME}",
    )
    if isinstance(result.backend, RedisBackend):
        # The loop polls for results. With a subscription, Redis would send it every result a second time.
        result.backend.remove_pending_result(result)
    return CeleryStepResult(result, plan_context, step, known_state)


def _any_worker_answers() -> bool:
    with suppress(OperationalError, OSError):
        return bool(make_celery_app().control.ping(timeout=1.0, limit=1))
    return False


@contextmanager
def _dataset_lock_refreshed(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Refresh the run's dataset lock during the block: its steps may wait for workers that are busy or not started."""
    stop = threading.Event()
    stores = build_stores()

    def refresh() -> None:
        while not stop.wait(REFRESH_INTERVAL):
            with suppress(Exception):  # try again later if the database or store cannot be reached
                tags = run.tags if (run := instance.get_run_by_id(run_id)) is not None else {}
                if DATASET_TAG not in tags:
                    continue
                store = stores.open(tags[DESTINATION_TAG], INTERACTIVE, store_options(tags))
                dataset = tags[DATASET_TAG]
                holder = lock_holder(store, dataset)
                if holder is not None and holder.run_id == run_id and not stop.is_set():
                    refresh_lock(store, dataset, run_id)

    threading.Thread(target=refresh, name="refresh-dataset-lock", daemon=True).start()
    try:
        yield
    finally:
        stop.set()
