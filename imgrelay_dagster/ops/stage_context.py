"""What every stage op sets up around the engine: settings, scratch space, receipts, and a watch on the run."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import dagster as dg
from obstore.store import ObjectStore

from imgrelay_dagster.ops.failures import run_failures
from imgrelay_dagster.ops.run_guard import RunGuard
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.concurrency.background import in_background
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress.announcer import Announcer, headline, sentence
from imgrelay_dagster.relay.progress.notes import RunProgress, StepCounts, StepProgress, planned_at
from imgrelay_dagster.relay.records.layout import run_receipts
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.receipts import read_receipts
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.runs.tags import RESULTS_TAG


@contextmanager
def stage_context(step: Step, stage: Stage, task: Task) -> Iterator[StageContext]:
    """The engine's workbench for one task in one stage.

    On the way out its receipts are put, its threads told to stop, and its counts shown on the run page.
    """
    context, settings = step.context, step.settings
    prefix = run_receipts(settings.dataset, context.run_id)
    store = step.stores.open(settings.destination)
    staging = step.stores.staging(context.run_id)
    stop = threading.Event()
    with run_failures(staging):
        guard = RunGuard(step)

        def announce(seen: RunProgress) -> None:
            guard.renew()
            _announce(context, seen)

        announcer = Announcer(staging, planned_at(staging), announce, tick=guard.check)

        def tick() -> None:
            guard.check()
            announcer.check()

        tick()
        name = f"{stage.value}-{task.name}"
        settled = frozenset[int]()
        # A step whose worker was killed is handed out again without Dagster's counting it: its note tells.
        if context.retry_number or staging.note(name) is not None:
            settled = in_background(lambda _: _lines(store, prefix), guard.check)
        try:
            with ReceiptWriter(store, prefix, f"{name}-{context.retry_number}-{uuid4().hex[:8]}") as receipts:
                yield StageContext(
                    settings=settings,
                    staging=staging,
                    receipts=receipts,
                    progress=StepProgress(staging, name, StepCounts(stage, len(task.records))),
                    stop=stop,
                    settled=settled,
                    tick=tick,
                )
                receipts.flush(tick=guard.check)
            guard.end_renewal()
        finally:
            stop.set()
    if context.op.name == stage.value:
        context.add_output_metadata({"entries": len(task.records), **dict(receipts.counts)})


def _announce(context: dg.OpExecutionContext, seen: RunProgress) -> None:
    """Say on the run page, and in the list of runs, how far the run is."""
    now = time.time()
    context.log.info(sentence(seen, now))
    context.instance.add_run_tags(context.run_id, {RESULTS_TAG: ", ".join(headline(seen, now))})


def _lines(store: ObjectStore, prefix: str) -> frozenset[int]:
    """The lines that have their receipts."""
    return frozenset(record.line for record in read_receipts(store, prefix))
