"""The setup of a stage op around the engine: settings, scratch space, receipts, progress and the run guard."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import dagster as dg
from obstore.store import ObjectStore

from imgrelay_dagster.ops.adjust import take_adjustments
from imgrelay_dagster.ops.failures import fail_run_on_error, no_retry_when_canceled
from imgrelay_dagster.ops.run_guard import RunGuard
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.concurrency.background import call_in_background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress.announcer import Announcer, sentence
from imgrelay_dagster.relay.progress.early_stop import EarlyStop
from imgrelay_dagster.relay.progress.notes import RunProgress, StepCounts, StepProgress, planned_at
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.receipts import read_receipts
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.restart import Restart
from imgrelay_dagster.relay.stages.steering import Steering
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.runs.tags import RESULTS_TAG


@contextmanager
def stage_context(step: Step, stage: Stage, task: Task) -> Iterator[StageContext]:
    """The engine's context for one task in one stage.

    On exit it writes the remaining receipts, signals the threads to stop, and shows the counts on the run page.

    Raises:
        dagster.Failure: an error that concerns the whole run; see `fail_run_on_error`.
    """
    context, settings = step.context, step.settings
    prefix = run_receipts_prefix(settings.dataset, context.run_id)
    store = step.stores.open(settings.destination, options=settings.store)
    staging = step.stores.staging(context.run_id)
    stop = threading.Event()
    with no_retry_when_canceled(context), fail_run_on_error(staging):
        steering = Steering()
        guard = RunGuard(step, staging, lambda run: take_adjustments(context, run, steering, staging))

        def announce(progress: RunProgress) -> None:
            guard.start_refresh()
            _announce(context, progress)

        announcer = Announcer(staging, planned_at(staging), announce, tick=guard.check)

        early_stop = EarlyStop(staging, settings.stop_when_failed, guard.check)

        def tick() -> None:
            guard.check()
            announcer.check()
            early_stop.check()

        tick()
        settings = steering.with_threads(settings)
        name = f"{stage.value}-{task.name}"
        settled, restart = frozenset[int](), None
        was_started = True if context.retry_number else _was_started(staging, name)
        if was_started is not False:
            settled = call_in_background(lambda _: _receipt_entries(store, prefix), guard.check)
            restart = Restart(staging, name) if was_started else None
        try:
            with ReceiptWriter(store, prefix, f"{name}-{context.retry_number}-{uuid4().hex[:8]}") as receipts:
                yield StageContext(
                    settings=settings,
                    run_id=context.run_id,
                    staging=staging,
                    receipts=receipts,
                    progress=StepProgress(staging, name, StepCounts(stage, len(task.records))),
                    stop=stop,
                    settled=settled,
                    restart=restart,
                    tick=tick,
                    steering=steering,
                )
                receipts.flush(tick=guard.check)
            guard.finish_refresh()
        finally:
            stop.set()
    if context.op.name == stage.value and task.part == 1:
        context.add_output_metadata({"entries": len(task.records), **dict(receipts.counts)})


def _was_started(staging: Staging, name: str) -> bool | None:
    """Whether this step was started before, as its note shows; None if the note cannot be read.

    Celery runs a step again when its worker is killed, and Dagster does not count that retry.
    """
    with suppress(RelayError):
        return staging.read_note(name) is not None
    return None


def _announce(context: dg.OpExecutionContext, progress: RunProgress) -> None:
    """Show the run's progress in its log and in the list of runs."""
    line = sentence(progress, time.time())
    context.log.info(line)
    context.instance.add_run_tags(context.run_id, {RESULTS_TAG: line})


def _receipt_entries(store: ObjectStore, prefix: str) -> frozenset[int]:
    """The entries that have receipts from this run."""
    return frozenset(record.entry for record in read_receipts(store, prefix))
