"""Deletes a run's scratch space in the run's process, as soon as its last step has succeeded.

The last step does not do it itself: if its process is killed, it starts again, and needs its inputs from there.
"""

from collections.abc import Generator, Iterator
from contextlib import closing, suppress

import dagster as dg

# Private names, as in dagster 1.13.5 to 1.13.29.
from dagster._core.execution.context.system import PlanOrchestrationContext

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.resources import build_stores


def clear_scratch_space_after(
    plan_context: PlanOrchestrationContext, events: Generator[dg.DagsterEvent, None, None]
) -> Iterator[dg.DagsterEvent]:
    """Yield an executor's events, then delete the scratch space of its run.

    It stays if a step failed or the run is canceled: what was downloaded is then kept for the next run by housekeeping,
    which also deletes what cannot be deleted here.
    """
    failed = False
    with closing(events):
        for event in events:
            failed = failed or event.is_step_failure
            yield event
    if failed:
        return
    with suppress(RelayError):
        stores = build_stores()
        stores.brief_staging(plan_context.run_id).clear()
