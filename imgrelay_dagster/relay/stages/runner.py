"""The three stages of a task: download, compose, upload. Each takes a task and hands the next one what is left of it.

An entry that ends in a stage, well or badly, gets its receipt there and does not travel on.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.concurrency.background import in_background
from imgrelay_dagster.relay.concurrency.thread_pool import JOIN_LIMIT, work_through
from imgrelay_dagster.relay.errors import EntryFailure, RelayError, SetAside, Stopped
from imgrelay_dagster.relay.fetch.adaptive_timeout import Patience
from imgrelay_dagster.relay.fetch.downloader import Downloader
from imgrelay_dagster.relay.imaging.compose import compose
from imgrelay_dagster.relay.imaging.malloc import keep_freed_pixels
from imgrelay_dagster.relay.imaging.pixel_budget import PixelBudget
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Stage
from imgrelay_dagster.relay.progress.notes import StepProgress
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.packs import Packing, Unpacking
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.relay.storage.stores import explain, is_disk_full, put

PIXELS_AT_ONCE = 50_000_000
"""Pixels that the compose threads of one step decode at once, about 4 bytes each; a larger image goes alone."""


LATE_THREADS = 64
"""Downloads at once of what was set aside: they mostly wait."""


LEAVE_LIMIT = 3.0
"""Seconds that uploads under way are given to end when a run is cancelled, so that what is stored has its receipt."""

OUTAGE = 32
"""Uploads of one step that fail in a row before the store counts as gone: two for each of its threads."""

ANSWER_LIMIT = 5.0
"""Seconds in which a store that is there takes a receipt."""


@dataclass(frozen=True)
class Bench:
    """What a stage works with: the run's settings and scratch space, its receipts and progress, when to stop.

    `settled` are the lines that an earlier, killed attempt at the same step has receipts for.
    `tick` is called several times a second while the stage works; what it raises ends the stage.
    """

    settings: Settings
    staging: Staging
    receipts: ReceiptWriter
    progress: StepProgress
    stop: threading.Event
    settled: frozenset[int] = frozenset()
    tick: Callable[[], None] = lambda: None


def download(task: Task, bench: Bench, downloader: Downloader, *, last_chance: bool = False) -> Task:
    """Fetch every entry's body into staging.

    What takes far longer than the task's other downloads is set aside in `late`, except at the `last_chance`.
    That comes when no other step downloads any more, so it asks as much of a host as all of them did together.
    """
    patience, limits, due = None if last_chance else Patience(), bench.settings.limits, task.due

    def fetch(record: Record, client: Downloader) -> Record:
        sink = partial(packing.body, record.line)
        wait = due.get(record.line, 0.0) - time.time()
        try:
            fetched = client.fetch(record.url, sink, patience=patience, made=record.attempts, wait=wait)
        except (EntryFailure, SetAside) as end:
            if patience is not None and (isinstance(end, SetAside) or end.reason is Reason.TIMEOUT):
                patience.hung()
            raise
        if patience is not None:
            patience.took(fetched.seconds)
        return replace(record, attempts=fetched.attempts, http_status=fetched.http_status, bytes_in=fetched.bytes_in)

    with Packing(bench.staging, task.name, Stage.DOWNLOAD, bench.tick) as packing:
        if last_chance:
            per_host = min(LATE_THREADS, limits.per_host * bench.settings.max_concurrent)
            with downloader.widened(threads=LATE_THREADS, per_host=per_host) as wide:
                task = _through(task, bench, Stage.DOWNLOAD, partial(fetch, client=wide), LATE_THREADS)
        else:
            task = _through(task, bench, Stage.DOWNLOAD, partial(fetch, client=downloader), limits.threads)
    return replace(task, places=packing.places)


def compose_task(task: Task, bench: Bench, templates: TemplateFolder) -> Task:
    """Lay the template over every downloaded picture."""
    keep_freed_pixels()
    settings = bench.settings
    budget = PixelBudget(PIXELS_AT_ONCE)
    unpacking = Unpacking(bench.staging, task)
    fingerprint = settings.fingerprints()

    def lay(record: Record) -> Record:
        try:
            template = templates.load(record.template or settings.template)
        except RelayError as error:  # it was there when the run was planned
            raise EntryFailure(Reason.TEMPLATE_MISSING, str(error)) from error
        if record.fingerprint != fingerprint(url=record.url, template_digest=template.digest):
            # Else the next run would take what is stored for an image with the template that was planned.
            detail = f"template {template.name!r} was changed while the run worked; launch the manifest again"
            raise EntryFailure(Reason.TEMPLATE_MISSING, detail)
        composed = compose(
            unpacking.read(record.line),
            template,
            settings.layout,
            settings.output,
            max_pixels=settings.max_pixels,
            budget=budget,
            stop=bench.stop,
        )
        packing.add(record.line, composed.data)
        return replace(
            record,
            width=composed.width,
            height=composed.height,
            bytes_out=len(composed.data),
            sha256=hashlib.sha256(composed.data).hexdigest(),
        )

    with Packing(bench.staging, task.name, Stage.COMPOSE, bench.tick) as packing:
        laid = _through(unpacking.in_order(), bench, Stage.COMPOSE, lay, settings.compose_threads)
    return replace(laid, places=packing.places)


def upload(task: Task, bench: Bench, store: ObjectStore) -> Task:
    """Store every composed picture under its key; the returned task is empty. Removes the task's scratch files."""
    in_background(lambda _: bench.staging.clear_stage(task.name, Stage.DOWNLOAD), bench.tick)
    content_type = bench.settings.output.content_type
    unpacking = Unpacking(bench.staging, task)
    outage = Outage(bench.settings.destination)

    def store_one(record: Record) -> Record:
        data = unpacking.read(record.line)
        assert record.key is not None
        if bench.stop.is_set():
            raise Stopped
        try:
            put(store, record.key, data, content_type)
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
    finished = _through(ordered, watching, Stage.UPLOAD, store_one, threads, leave=LEAVE_LIMIT)
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


def _through(
    task: Task,
    bench: Bench,
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
        except SetAside as late:
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
