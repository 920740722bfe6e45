"""The pending result of a step on a Celery worker, with the interface that dagster-celery's loop expects."""

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
from dagster._core.execution.stats import StepEventStatus
from dagster._serdes import serialize_value
from dagster._utils.error import serializable_error_info_from_exc_info
from kombu.exceptions import OperationalError

from imgrelay_dagster.execution.celery.settings import FINAL_ERROR

UNREACHABLE_LIMIT = 300.0
"""Seconds for which the broker may be unreachable before the run fails."""

REVOKE_LIMIT = 20.0
"""Seconds for which a canceled run waits for a step to end. A step sees the cancel within 2 s; then its uploads get
3 s, its receipts 5 s and its lock 10 s."""


class CeleryStepResult:
    """Replaces Celery's result object: `ready`, `get` and `revoke` have time limits, and `get` raises no worker error.

    If a worker fails outside the step itself (its database cannot be reached, or it runs another version),
    dagster-celery's loop would never end. Here such an error counts like the death of a step's process: the step is
    retried as often as its retry policy allows, then it fails.
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
        self._revoke_deadline: float | None = None
        self._unreachable_since: float | None = None

    def revoke(self) -> None:
        """Revoke the step if no worker has started it. A started step reads the run's status and ends by itself."""
        self._revoke_deadline = self._clock() + REVOKE_LIMIT
        with suppress(*self._connection_errors()):
            self._result.revoke()

    def ready(self) -> bool:
        """Whether there is a result; after `revoke` also whether the step has ended, within a time limit."""
        if self._revoke_deadline is None:
            return self._has_result()
        return self._clock() > self._revoke_deadline or (self._has_result() and not self._is_running())

    def _is_running(self) -> bool:
        """Whether a worker has started the step and not ended it: it may start at the moment at which it is revoked."""
        with suppress(Exception):  # the database may be gone
            stats = self._plan_context.instance.get_run_step_stats(self._plan_context.run_id, [self._step.key])
            return any(each.status is StepEventStatus.IN_PROGRESS for each in stats)
        return False

    def get(self) -> Any:
        """Return the step's events, serialized.

        Raises:
            TaskRevokedError: the step was revoked before it started, or did not end in time after `revoke`.
        """
        if not self._has_result():
            raise TaskRevokedError
        try:
            return self._result.get(disable_sync_subtasks=False)
        except TaskRevokedError:
            raise
        except Exception as error:  # noqa: BLE001 - any error ends only this step
            return [serialize_value(self._failure_event(error))]

    def _failure_event(self, error: Exception) -> dg.DagsterEvent:
        context = self._plan_context.for_step(self._step)
        info = serializable_error_info_from_exc_info(sys.exc_info())
        policy = context.op_retry_policy
        if policy is not None and self._attempts < policy.max_retries and type(error).__name__ != FINAL_ERROR:
            return dg.DagsterEvent.step_retry_event(context, StepRetryData(info, policy.delay))  # type: ignore[no-untyped-call]
        failure = StepFailureData(info, None, ErrorSource.UNEXPECTED_ERROR)  # type: ignore[no-untyped-call]
        return dg.DagsterEvent.step_failure_event(context, failure)

    def _has_result(self) -> bool:
        try:
            ready = bool(self._result.ready())
        except self._connection_errors():
            now = self._clock()
            self._unreachable_since = self._unreachable_since or now
            if now - self._unreachable_since > UNREACHABLE_LIMIT:
                raise
            return False
        self._unreachable_since = None
        return ready

    def _connection_errors(self) -> tuple[type[Exception], ...]:
        """The exceptions raised while the broker or the result backend cannot be reached."""
        return (OperationalError, *getattr(self._result.backend, "connection_errors", ()))
