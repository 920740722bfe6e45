"""The three stages of a task: download, compose, upload. Each takes a task and hands the next one what is left of it.

An entry that ends in a stage, well or badly, gets its receipt there and does not travel on.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from imgrelay_dagster.relay.concurrency.thread_pool import JOIN_LIMIT, work_through
from imgrelay_dagster.relay.errors import Deferred, EntryFailure
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Stage
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.relay.storage.stores import explain


def run_entries(
    task: Task,
    bench: StageContext,
    stage: Stage,
    work: Callable[[Record], Record],
    threads: int,
    *,
    leave: float = JOIN_LIMIT,
) -> Task:
    """Work through a task's records, write receipts of those that end here, return the task with the rest."""
    aside: dict[int, Record] = {}
    due: dict[int, float] = {}

    def timed(record: Record) -> tuple[Record, bytes]:
        began = time.monotonic()
        try:
            record = work(record)
        except EntryFailure as failure:
            record = replace(
                _failed(record, failure.reason, failure.detail),
                attempts=failure.attempts or record.attempts,
                http_status=failure.http_status or record.http_status,
            )
        except Deferred as late:
            aside[record.line] = replace(record, attempts=late.attempts)
            if late.wait:
                due[record.line] = time.time() + late.wait
        spent = time.monotonic() - began
        return _with_receipt(replace(record, seconds=replace(record.seconds, **{stage.value: round(spent, 4)})))

    def crashed(record: Record, error: BaseException) -> tuple[Record, bytes]:
        detail = f"{type(error).__name__} in {stage.value}: {explain(error)}"
        return _with_receipt(_failed(record, Reason.INTERNAL_ERROR, detail))

    def done(ended: tuple[Record, bytes]) -> None:
        record, receipt = ended
        if record.outcome is not None:
            bench.receipts.add(record, receipt)
        if record.line not in aside:
            bench.progress.count(record)

    def tick() -> None:
        bench.receipts.flush_if_due()
        bench.progress.write_if_due()
        bench.tick()

    ended = work_through(
        [record for record in task.records if record.line not in bench.settled],
        timed,
        threads=threads,
        stop=bench.stop,
        crashed=crashed,
        done=done,
        tick=tick,
        leave=leave,
    )
    bench.progress.write()
    going_on = [record for record, _ in ended if record.outcome is None and record.line not in aside]
    going_on.sort(key=lambda record: record.line)
    late = (*task.late, *(aside[line] for line in sorted(aside)))
    return replace(task, records=tuple(going_on), late=late, due={**task.due, **due})


def _failed(record: Record, reason: Reason, detail: str) -> Record:
    """The record of an entry that ends here. It describes no stored object, though one may have been composed."""
    bare = replace(record, bytes_out=None, width=None, height=None, sha256=None)
    return replace(bare, outcome=Outcome.FAILED, reason=reason, detail=detail)


def _with_receipt(record: Record) -> tuple[Record, bytes]:
    """The record, dated if the entry ends here, and its receipt."""
    if record.outcome is None:
        return record, b""
    dated = replace(record, at=time.time())
    return dated, record_json.dump_json(dated)
