"""The adjustments of a run, in its tags."""

from collections.abc import Mapping

import dagster as dg

from imgrelay_dagster.relay.adjustments import Adjustments
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.runs.tags import ADJUST_TAG, COORDINATOR_TAG


def adjustments_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[Adjustments, str | None]:
    """The adjustments of a run, and what is wrong with its tag; those of a coordinator count for its shards too.

    A tag that is not valid changes nothing: a typing error must not end a run.
    """
    own, error = _parse(run.tags)
    coordinator = instance.get_run_by_id(run.tags[COORDINATOR_TAG]) if COORDINATOR_TAG in run.tags else None
    if coordinator is None:
        return own, error
    above, error_above = _parse(coordinator.tags)
    return own.over(above), error or error_above


def present_adjustments(instance: dg.DagsterInstance, run_id: str) -> Adjustments:
    """The adjustments of a run at this moment."""
    run = instance.get_run_by_id(run_id)
    return Adjustments() if run is None else adjustments_of(instance, run)[0]


def _parse(tags: Mapping[str, str]) -> tuple[Adjustments, str | None]:
    try:
        return Adjustments.parse(tags.get(ADJUST_TAG, "")), None
    except RelayError as error:
        return Adjustments(), f"tag {ADJUST_TAG}: {error}"
