"""Running one stage over the entries of a task.

Each stage takes a task and returns it with the entries that are left for the next stage. An entry that ends in a stage,
uploaded or failed, gets its receipt there.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from imgrelay_dagster.relay.concurrency.thread_pool import JOIN_LIMIT, work_through
from imgrelay_dagster.relay.errors import Deferred, EntryFailure
from imgrelay_dagster.relay.imaging.decoder_version import DECODER_REASONS, decoder_version
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Stage, changed
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.relay.storage.error_text import explain


def run_entries(
    task: Task,
    context: StageContext,
    stage: Stage,
    work: Callable[[Record], Record],
    threads: int,
    *,
    wanted: Callable[[], int] | None = None,
    leave: float = JOIN_LIMIT,
) -> Task:
    """Call `work` on each of the task's records; return the task with the records that are left.

    Args:
        work: returns the record as it leaves the stage. May raise `EntryFailure` or `Deferred`.
        threads: threads that call `work`, at most.
        wanted: how many of them have work at present.
        leave: seconds that running calls of `work` have to end when the stage ends early.

    Raises:
        RelayError: an error that concerns the whole run.
        Stopped: the stage was stopped.
    """
    deferred: dict[int, Record] = {}
    retry_at: dict[int, float] = {}

    def run_entry(record: Record) -> tuple[Record, bytes]:
        started = time.monotonic()
        try:
            record = work(record)
        except EntryFailure as failure:
            record = changed(
                _failed(record, failure.reason, failure.detail),
                attempts=failure.attempts or record.attempts,
                http_status=failure.http_status or record.http_status,
            )
        except Deferred as deferral:
            deferred[record.entry] = changed(record, attempts=deferral.attempts)
            if deferral.wait:
                retry_at[record.entry] = time.time() + deferral.wait
        duration = round(time.monotonic() - started, 4)
        return _with_receipt(record, seconds=replace(record.seconds, **{stage.value: duration}))

    def crashed(record: Record, error: BaseException) -> tuple[Record, bytes]:
        detail = f"{type(error).__name__} in {stage.value}: {explain(error)}"
        return _with_receipt(_failed(record, Reason.INTERNAL_ERROR, detail))

    def done(ended: tuple[Record, bytes]) -> None:
        record, receipt = ended
        if record.outcome is not None:
            context.receipts.add(record, receipt)
        if record.entry not in deferred:
            context.progress.count(record)

    def tick() -> None:
        context.receipts.flush_if_due()
        context.progress.write_if_due()
        context.tick()

    ended = work_through(
        [record for record in task.records if record.entry not in context.settled],
        run_entry,
        threads=threads,
        wanted=wanted,
        stop=context.stop,
        crashed=crashed,
        done=done,
        tick=tick,
        leave=leave,
    )
    context.progress.write()
    remaining = [record for record, _ in ended if record.outcome is None and record.entry not in deferred]
    remaining.sort(key=lambda record: record.entry)
    return replace(
        task,
        records=tuple(remaining),
        deferred=(*task.deferred, *(deferred[entry] for entry in sorted(deferred))),
        retry_at={**task.retry_at, **retry_at},
    )


def _failed(record: Record, reason: Reason, detail: str) -> Record:
    """The record of an entry that failed, without the fields of a stored object, which compose may have set."""
    decoder = decoder_version() if reason in DECODER_REASONS else None
    bare = changed(record, bytes_out=None, width=None, height=None, sha256=None, quality=None, decoder=decoder)
    return changed(bare, outcome=Outcome.FAILED, reason=reason, detail=detail)


def _with_receipt(record: Record, **values: Any) -> tuple[Record, bytes]:
    """The record with these values, and its receipt.

    An entry that ends here has the time in its record. Any other has an empty receipt.
    """
    if record.outcome is None:
        return changed(record, **values), b""
    dated = changed(record, at=time.time(), **values)
    return dated, record_json.dump_json(dated)
