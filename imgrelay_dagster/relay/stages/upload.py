"""Stage `upload`: every composed picture of a task into the destination."""

from dataclasses import replace

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.concurrency.background import in_background
from imgrelay_dagster.relay.errors import EntryFailure, RelayError, Stopped
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Stage
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.runner import run_entries
from imgrelay_dagster.relay.staging.packs import PackReader
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.relay.storage.stores import explain, is_disk_full, put_object

LEAVE_LIMIT = 3.0
"""Seconds that uploads under way are given to end when a run is cancelled, so that what is stored has its receipt."""


OUTAGE = 32
"""Uploads of one step that fail in a row before the store counts as gone: two for each of its threads."""


ANSWER_LIMIT = 5.0
"""Seconds in which a store that is there takes a receipt."""


def upload_task(task: Task, bench: StageContext, store: ObjectStore) -> Task:
    """Store every composed picture under its key; the returned task is empty. Removes the task's scratch files."""
    in_background(lambda _: bench.staging.clear_stage(task.name, Stage.DOWNLOAD), bench.tick)
    content_type = bench.settings.output.content_type
    unpacking = PackReader(bench.staging, task)
    outage = Outage(bench.settings.destination)

    def store_one(record: Record) -> Record:
        data = unpacking.read(record.line)
        assert record.key is not None
        if bench.stop.is_set():
            raise Stopped
        try:
            put_object(store, record.key, data, content_type)
        except (BaseError, OSError, ValueError) as error:
            if is_disk_full(error):
                place = bench.settings.destination
                raise RelayError(f"disk full: no space left in destination {place!r}; free some") from error
            outage.suspect(error)
            raise EntryFailure(Reason.UPLOAD_ERROR, explain(error)) from error
        outage.over()
        return replace(record, outcome=Outcome.UPLOADED)

    def tick() -> None:
        outage.check(bench.receipts)
        bench.tick()

    watching = replace(bench, tick=tick)
    ordered, threads = unpacking.in_order(), bench.settings.upload_threads
    finished = run_entries(ordered, watching, Stage.UPLOAD, store_one, threads, leave=LEAVE_LIMIT)
    outage.check(bench.receipts)
    bench.receipts.flush(tick=bench.tick)
    in_background(lambda _: bench.staging.clear_stage(task.name, Stage.COMPOSE), bench.tick)
    return replace(finished, places={})


class Outage:
    """Tells a store that takes nothing any more, which is the whole run's trouble, from keys that it refuses."""

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._in_a_row = 0
        self._error: BaseException | None = None

    def suspect(self, error: BaseException) -> None:
        """Take note of an upload that failed after all its retries."""
        self._error = error
        self._in_a_row += 1

    def check(self, receipts: ReceiptWriter) -> None:
        """See, after `OUTAGE` uploads that failed in a row, whether the store still takes receipts.

        Raises:
            RelayError: it does not.
        """
        if self._in_a_row < OUTAGE or self._error is None:
            return
        try:
            receipts.flush(limit=ANSWER_LIMIT)
        except RelayError:
            raise RelayError(
                f"destination {self._destination!r} took none of the last {self._in_a_row} images, nor a receipt: "
                f"{explain(self._error)}; the run ends here; launch it again when the store is back"
            ) from self._error
        self._in_a_row = 0

    def over(self) -> None:
        """Take note of an upload that succeeded."""
        self._in_a_row = 0
