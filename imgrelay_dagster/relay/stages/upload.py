"""Stage `upload`: store every composed image of a task in the destination."""

from dataclasses import replace

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.concurrency.background import call_in_background
from imgrelay_dagster.relay.errors import EntryFailure, RelayError, Stopped
from imgrelay_dagster.relay.imaging.malloc import return_freed_memory
from imgrelay_dagster.relay.imaging.memory_budget import MemoryBudget
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Stage, changed
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.image_headers import ImageHeaders
from imgrelay_dagster.relay.stages.runner import run_entries
from imgrelay_dagster.relay.staging.packs import PackReader
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.relay.storage.error_text import explain, is_disk_full
from imgrelay_dagster.relay.storage.objects import put_object

LEAVE_LIMIT = 3.0
"""Seconds that running uploads have to end when a run is canceled, so that each stored image has its receipt."""

OUTAGE_FAILURES = 32
"""Uploads of one step that must fail in a row before the store is checked for an outage: two for each thread."""

BODY_BUDGET = 64 << 20
"""Bytes of the images that the threads of a step hold at the same time. A larger one is uploaded alone."""

RECEIPT_LIMIT = 5.0
"""Seconds within which a working store accepts a receipt."""


def upload_task(task: Task, context: StageContext, store: ObjectStore) -> Task:
    """Store every composed image under its key and delete the task's scratch files; return the task without entries.

    Raises:
        RelayError: the store does not work any more, or its disk is full.
    """
    return_freed_memory()
    keeps = context.staging.keeps_originals
    if not keeps:  # otherwise an interrupted step leaves them for the next run
        call_in_background(lambda _: context.staging.clear_stage(task.name, Stage.DOWNLOAD), context.tick)
    output = context.settings.output
    images = ImageHeaders(context.settings, context.run_id)
    reader = PackReader(context.staging, task)
    outage = OutageDetector(context.settings.destination)
    budget = MemoryBudget(BODY_BUDGET)

    def upload_entry(record: Record) -> Record:
        with budget.hold(reader.size(record.entry), context.stop):
            return upload_image(record)

    def upload_image(record: Record) -> Record:
        data = reader.read(record.entry)
        assert record.key is not None
        if context.stop.is_set():
            raise Stopped
        try:
            put_object(
                store,
                record.key,
                data,
                output.content_type_of(data),
                headers=images.headers(record),
                tags=images.tags(record),
            )
        except (BaseError, OSError, ValueError) as error:
            if is_disk_full(error):
                destination = context.settings.destination
                raise RelayError(f"disk full: no space left in destination {destination!r}; free some space") from error
            outage.record_failure(error)
            raise EntryFailure(Reason.UPLOAD_ERROR, explain(error)) from error
        outage.record_success()
        return changed(record, outcome=Outcome.UPLOADED)

    def tick() -> None:
        outage.check(context.receipts)
        context.tick()

    finished = run_entries(
        reader.task_in_pack_order(),
        replace(context, tick=tick),
        Stage.UPLOAD,
        upload_entry,
        context.settings.upload_threads,
        leave=LEAVE_LIMIT,
    )
    outage.check(context.receipts)
    context.receipts.flush(tick=context.tick)
    if keeps:
        if context.settings.keep_originals:
            context.staging.keep_originals(context.settings.dataset, task.name)
        context.staging.clear_stage(task.name, Stage.DOWNLOAD)
    call_in_background(lambda _: context.staging.clear_stage(task.name, Stage.COMPOSE), context.tick)
    return replace(finished, locations={})


class OutageDetector:
    """Distinguishes a store that accepts nothing any more, which ends the run, from one that rejects single keys."""

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._failures = 0
        self._error: BaseException | None = None

    def record_failure(self, error: BaseException) -> None:
        """Count an upload that failed after all its retries."""
        self._error = error
        self._failures += 1

    def record_success(self) -> None:
        """Start the count again after a successful upload."""
        self._failures = 0

    def check(self, receipts: ReceiptWriter) -> None:
        """After `OUTAGE_FAILURES` failed uploads in a row, check whether the store still accepts receipts.

        Raises:
            RelayError: it does not accept them.
        """
        if self._failures < OUTAGE_FAILURES or self._error is None:
            return
        try:
            receipts.flush(limit=RECEIPT_LIMIT)
        except RelayError:
            raise RelayError(
                f"destination {self._destination!r} took none of the last {self._failures} images, nor a receipt: "
                f"{explain(self._error)}; the run ends here; launch it again when the store is back"
            ) from self._error
        self._failures = 0
