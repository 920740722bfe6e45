"""What every stage op sets up around the engine: settings, scratch space, receipts, and a watch on the run."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from uuid import uuid4

import dagster as dg
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.automation.partitions import day_dataset
from imgrelay_dagster.config.run_config import RelayOptions
from imgrelay_dagster.relay.concurrency.background import Background, in_background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress.announcer import Announcer, headline, sentence
from imgrelay_dagster.relay.progress.notes import Note, RunProgress, StepProgress, planned_at
from imgrelay_dagster.relay.records.dataset_lock import RENEW_INTERVAL, release, renew
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.receipts import read_receipts, run_receipts
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.stages.runner import Bench
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.relay.storage.stores import explain
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import RESULTS_TAG

GUARD_INTERVAL = 2.0
"""Seconds between two looks at the run's status."""

_ENDING = {
    dg.DagsterRunStatus.CANCELING,
    dg.DagsterRunStatus.CANCELED,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.SUCCESS,  # seen only by a step that was handed out twice
}


RENEWAL_LIMIT = 10.0
"""Seconds that a renewal under way is waited for: more than its store's client takes."""

HALT_NOTE = "halt"
"""What a step leaves in staging when it meets trouble that concerns the whole run, for the other steps to end too."""


def priority(number: int) -> dict[str, str]:
    """The op tags that put steps before others (a higher number is sooner), in both of Dagster's spellings."""
    return {"dagster/priority": str(number), "dagster-celery/priority": str(number)}


@dataclass(frozen=True)
class Step:
    """What every op works with: its context, the run's settings, the stores."""

    context: dg.OpExecutionContext
    settings: Settings
    stores: StoresResource

    @property
    def day(self) -> str | None:
        """The day whose manifest this run relays, where it is a partition of a daily drop."""
        return day_of(self.context)


@dataclass(frozen=True)
class Assignment:
    """A task and its run's settings: what `plan` hands out, and one stage to the next.

    Only `plan` has a config. Dagster checks all of a run's config twice in each step, so what five ops are given costs
    each step five times as much.
    """

    task: Task
    settings: Settings


def day_of(context: dg.OpExecutionContext) -> str | None:
    """The day that a run is a partition for, if it is for one."""
    return context.partition_key if context.has_partition_key else None


def run_settings(context: dg.OpExecutionContext, options: RelayOptions) -> Settings:
    """The settings of a run with these options; for a daily drop those of its day."""
    settings, day = options.settings(), day_of(context)
    return settings if day is None else replace(settings, dataset=day_dataset(day))


class RunGuard:
    """Ends a step whose run is over, and renews the run's hold on its dataset meanwhile.

    Dagster tells a running step of a cancel by a signal. It does not tell a step launched in that very moment, nor one
    orphaned by a `kill -9` of the run's process, nor a step whose run has failed in another one.
    """

    def __init__(self, step: Step) -> None:
        settings = step.settings
        self._instance = step.context.instance
        self._run_id = step.context.run_id
        self._dataset = settings.dataset
        self._stores = step.stores
        self._destination = settings.destination
        self._staging = step.stores.staging(self._run_id)
        self._due = 0.0
        self._renewal = time.monotonic() + RENEW_INTERVAL
        self._renewing: Background[None] | None = None

    def check(self) -> None:
        """Look at the run's process every time, at the run every `GUARD_INTERVAL` seconds.

        Raises:
            dagster.DagsterExecutionInterruptedError: the run is being cancelled, has ended or lost its process.
            RelayError: another step met trouble that concerns the whole run.
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
        halted = self._halted()
        if halted is not None:
            raise RelayError(halted.decode())
        if time.monotonic() >= self._renewal:
            self.renew()

    def renew(self) -> None:
        """Begin to renew the run's hold on its dataset, unless that is under way.

        One of a run's steps does so whenever it tells how far the run is, which is often enough where every step is
        too short to do so by itself.
        """
        if self._renewing is None or self._renewing.over:
            self._renewal = time.monotonic() + RENEW_INTERVAL
            self._renewing = Background(lambda: renew(self._store(), self._dataset, self._run_id))

    def end_renewal(self) -> None:
        """Let a renewal that is under way come to its end: it would go with the step's process."""
        if self._renewing is not None:
            with suppress(TimeoutError):
                self._renewing.wait(limit=RENEWAL_LIMIT)

    def let_go(self) -> None:
        """Release the dataset, once no renewal of the hold is under way any more."""
        self.end_renewal()
        release(self._store(), self._dataset, self._run_id)

    def _store(self) -> ObjectStore:
        """Opened when needed, which in most steps it never is: that alone reads all of the system's certificates."""
        return self._stores.open_brief(self._destination)

    def _halted(self) -> bytes | None:
        with suppress(RelayError):  # staging that is away for a moment; if for longer, the images meet it too
            return self._staging.note(HALT_NOTE)
        return None


@contextmanager
def workbench(step: Step, stage: Stage, task: Task) -> Iterator[Bench]:
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
                yield Bench(
                    settings=settings,
                    staging=staging,
                    receipts=receipts,
                    progress=StepProgress(staging, name, Note(stage, len(task.records))),
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


@contextmanager
def run_failures(staging: Staging | None = None) -> Iterator[None]:
    """Turn trouble that concerns the whole run into a Dagster failure that is not tried again.

    It has no cause: Dagster would write down all that a store's client says, signatures and endpoints among it.

    Args:
        staging: where to leave word for the run's other steps.
    """
    try:
        yield
    except RelayError as error:
        if staging is not None:
            with suppress(RelayError):  # the trouble may well be that staging is full
                staging.put_note(HALT_NOTE, str(error).encode())
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except BaseError as error:
        raise dg.Failure(description=f"a store fails: {explain(error)}") from None
