"""A step that was handed over to a worker, as dagster-celery's loop asks for it."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import dagster as dg
from celery.exceptions import TaskRevokedError
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData, StepRetryData
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.plan.step import ExecutionStep
from dagster._serdes import serialize_value
from dagster._utils.error import serializable_error_info_from_exc_info
from kombu.exceptions import OperationalError

from imgrelay_dagster.execution.celery.settings import FINAL_ERROR

AWAY_LIMIT = 300.0
"""Seconds that the broker may be away while a run goes on."""

REVOKE_LIMIT = 12.0
"""Seconds that a step is given to end once its run is being cancelled; the run does not wait for it any longer."""


class CeleryStepResult:
    """In place of Celery's own result object: `ready`, `get` and `revoke` have limits, and `get` raises no error.

    An error of a worker outside the step itself (its database is away, it runs another version) would leave
    dagster-celery's loop spinning for ever. Here it becomes what it is for a step whose process dies: the step is up
    for retry while its policy allows, then failed.
    """

    def __init__(
        self,
        result: Any,
        plan_context: PlanOrchestrationContext,
        step: ExecutionStep,
        known_state: KnownExecutionState,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._result = result
        self._plan_context = plan_context
        self._step = step
        self._attempts = known_state.get_retry_state().get_attempt_count(step.key)
        self._clock = clock
        self._give_up: float | None = None
        self._away_since: float | None = None

    def revoke(self) -> None:
        """Have it dropped if no worker has begun it; one that has learns from the run's status that it is to end."""
        self._give_up = self._clock() + REVOKE_LIMIT
        with suppress(*self._troubles()):
            self._result.revoke()

    def ready(self) -> bool:
        """Whether there is a result, or no use in waiting for it."""
        return self._has_result() or (self._give_up is not None and self._clock() > self._give_up)

    def get(self) -> Any:
        """The step's events.

        Raises:
            TaskRevokedError: it was dropped before it began, or given up.
        """
        if not self._has_result():
            raise TaskRevokedError
        try:
            return self._result.get(disable_sync_subtasks=False)
        except TaskRevokedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this step only
            return [serialize_value(self._failed(error))]

    def _failed(self, error: Exception) -> dg.DagsterEvent:
        context = self._plan_context.for_step(self._step)
        info = serializable_error_info_from_exc_info(sys.exc_info())
        policy = context.op_retry_policy
        if policy is not None and self._attempts < policy.max_retries and type(error).__name__ != FINAL_ERROR:
            return dg.DagsterEvent.step_retry_event(context, StepRetryData(info, policy.delay))  # type: ignore[no-untyped-call]
        failed = StepFailureData(info, None, ErrorSource.UNEXPECTED_ERROR)  # type: ignore[no-untyped-call]
        return dg.DagsterEvent.step_failure_event(context, failed)

    def _has_result(self) -> bool:
        try:
            found = bool(self._result.ready())
        except self._troubles():
            now = self._clock()
            self._away_since = self._away_since or now
            if now - self._away_since > AWAY_LIMIT:
                raise
            return False
        self._away_since = None
        return found

    def _troubles(self) -> tuple[type[Exception], ...]:
        """What is raised while the broker or the results are away."""
        return (OperationalError, *getattr(self._result.backend, "connection_errors", ()))
