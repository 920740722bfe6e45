"""Why a run failed, in one sentence."""

import re
from typing import Any

import dagster as dg
from dagster._core.events import JobFailureData

_OURS = re.compile(r"(?:[\w.]+\.)?(?:RelayError|StepProcessKilled): ")


def failure_reason(instance: dg.DagsterInstance, run_id: str) -> str:
    """The error message of the step or run that failed first."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data and failure.user_failure_data.description:
                return failure.user_failure_data.description
            return f"step {event.step_key} failed: {_first_line(failure.error)}"
        # A run that was marked as failed from outside, because its process was gone, has only a message.
        data = event.event_specific_data
        error = data.error if isinstance(data, JobFailureData) else None
        return _first_line(error) or event.message or "the run failed"
    return "the run failed; see its page in the Dagster UI"


def _first_line(error: Any) -> str:
    """The first line of the innermost cause's message."""
    while error is not None and error.cause is not None:
        error = error.cause
    return "" if error is None else _OURS.sub("", error.message.strip().splitlines()[0], count=1)
