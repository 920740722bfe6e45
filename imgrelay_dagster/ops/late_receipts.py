"""What a run does at its start for earlier runs of its dataset: it adds receipts that arrived after their end."""

from collections.abc import Callable
from functools import partial

from obstore.store import ObjectStore

from imgrelay_dagster.config.host_classes import host_classes
from imgrelay_dagster.monitoring.late_receipts import note_late_receipts
from imgrelay_dagster.ops.run_guard import RunGuard
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.concurrency.background import call_in_background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.results.late_receipts import add_late_receipts, runs_with_late_receipts


def take_up_late_receipts(step: Step, store: ObjectStore, guard: RunGuard) -> None:
    """Write the results of earlier runs again that got receipts after their end. A failure does not stop this run.

    Args:
        store: the destination, whose dataset this run holds.
    """
    context, dataset = step.context, step.settings.dataset
    try:
        for run_id in call_in_background(lambda _: runs_with_late_receipts(store, dataset), guard.check):
            if run_id == context.run_id:
                continue
            summary = call_in_background(partial(_add, store, dataset, run_id), guard.check)
            if summary is not None:
                note_late_receipts(context.instance, store, summary)
                context.log.info(f"run {run_id} got receipts that arrived after its end; its results are written again")
    except RelayError as error:
        context.log.warning(f"receipts that arrived after the end of an earlier run cannot be added to it: {error}")


def _add(store: ObjectStore, dataset: str, run_id: str, check: Callable[[], None]) -> Summary | None:
    return add_late_receipts(store, dataset, run_id, tick=check, host_class=host_classes())
