"""What every stage op sets up around the engine: settings, scratch space, receipts, and a watch on the run."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import parent_process

import dagster as dg

from imgrelay_dagster.config import RelayOptions
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress import Note, StepProgress
from imgrelay_dagster.relay.receipts import ReceiptWriter, read_receipts, run_receipts
from imgrelay_dagster.relay.stages import Bench
from imgrelay_dagster.relay.tasks import Task
from imgrelay_dagster.resources import StoresResource

GUARD_INTERVAL = 2.0
"""Seconds between two looks at the run's status."""

_ENDING = {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE}


class RunGuard:
    """Ends a step whose run is over: one launched in the very moment of a cancel, or orphaned by a `kill -9`.

    Dagster tells a running step of a cancel by a signal; these two it does not tell.
    """

    def __init__(self, context: dg.OpExecutionContext) -> None:
        self._instance = context.instance
        self._run_id = context.run_id
        self._due = 0.0

    def check(self) -> None:
        """Look at the run's process every time, and at its status every `GUARD_INTERVAL` seconds.

        Raises:
            dagster.DagsterExecutionInterruptedError: the run is being cancelled, has ended or lost its process.
        """
        parent = parent_process()
        if parent is not None and not parent.is_alive():
            raise dg.DagsterExecutionInterruptedError("the run's process is gone")
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + GUARD_INTERVAL
        run = self._instance.get_run_by_id(self._run_id)
        if run is not None and run.status in _ENDING:
            raise dg.DagsterExecutionInterruptedError(f"the run is {run.status.value.lower()}")


@dataclass(frozen=True)
class Step:
    """What every stage op is given by Dagster."""

    context: dg.OpExecutionContext
    options: RelayOptions
    stores: StoresResource


@contextmanager
def workbench(step: Step, stage: Stage, task: Task) -> Iterator[Bench]:
    """The engine's workbench for one task in one stage.

    On the way out its receipts are put, its threads told to stop, and its counts shown on the run page.
    """
    context, settings = step.context, step.options.settings()
    guard = RunGuard(context)
    guard.check()
    prefix = run_receipts(settings.dataset, context.run_id)
    store = step.stores.open_brief(settings.destination)
    stop = threading.Event()
    with run_failures():
        settled = frozenset[int]()
        if context.retry_number:
            settled = frozenset(record.line for record in read_receipts(store, prefix))
        name = f"{stage.value}-{task.name}"
        staging = step.stores.staging(context.run_id)
        try:
            with ReceiptWriter(store, prefix, f"{name}-{context.retry_number}-{os.getpid()}") as receipts:
                yield Bench(
                    settings=settings,
                    staging=staging,
                    receipts=receipts,
                    progress=StepProgress(staging, name, Note(stage, len(task.records))),
                    stop=stop,
                    settled=settled,
                    tick=guard.check,
                )
        finally:
            stop.set()
    if context.op.name == stage.value:
        context.add_output_metadata({"entries": len(task.records), **dict(receipts.counts)})


@contextmanager
def run_failures() -> Iterator[None]:
    """Turn trouble that concerns the whole run into a Dagster failure that is not tried again."""
    try:
        yield
    except RelayError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
