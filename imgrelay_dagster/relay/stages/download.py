"""Stage `download`: fetch the body of every entry of a task into staging."""

import threading
import time
from dataclasses import replace
from functools import partial

from imgrelay_dagster.relay.errors import Deferred, EntryFailure, Stopped
from imgrelay_dagster.relay.fetch.adaptive_timeout import AdaptiveTimeout
from imgrelay_dagster.relay.fetch.downloader import Downloader
from imgrelay_dagster.relay.outcomes import Record, Stage
from imgrelay_dagster.relay.stages.busy_hosts import BUSY_PATIENCE, Slot, busy_hosts_last, is_slow
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.download_pace import START, DownloadPace
from imgrelay_dagster.relay.stages.earlier_downloads import EarlierDownloads
from imgrelay_dagster.relay.stages.mirrors import fetch_record
from imgrelay_dagster.relay.stages.runner import run_entries
from imgrelay_dagster.relay.stages.stored_sources import StoredSources
from imgrelay_dagster.relay.staging.originals import url_digest
from imgrelay_dagster.relay.staging.packs import PackWriter
from imgrelay_dagster.relay.staging.tasks import PART_BYTES, Task
from imgrelay_dagster.relay.storage.source_access import is_stored

DEFERRED_THREADS = 64
"""Concurrent downloads of deferred entries, which mostly wait for slow servers."""


def download_task(
    task: Task,
    context: StageContext,
    downloader: Downloader,
    stored: StoredSources | None = None,
    *,
    last_chance: bool = False,
) -> Task:
    """Fetch every entry's body into staging; return the task with the entries that are left.

    A download that takes far longer than the task's others is deferred (`Task.deferred`). When the downloads have
    `PART_BYTES`, no more are started, and the other entries are the task's `rest`. What an earlier start of the step
    downloaded before it was killed is not downloaded again, if staging is a local folder.

    Args:
        stored: fetches originals that are not on the web; None where the task has none.
        last_chance: the task has the deferred entries; give them their full time limits. No other step downloads any
            more, so each host gets as many connections as all steps together gave it before.
    """
    limits, retry_at = context.settings.limits, task.retry_at
    timeout = None if last_chance else AdaptiveTimeout()
    pace = DownloadPace(
        DEFERRED_THREADS if last_chance else limits.threads,
        DEFERRED_THREADS if last_chance else START,
        cap=lambda: context.steering.most_downloads,
    )

    def check() -> None:
        if context.stop.is_set():
            raise Stopped

    lock, rest, downloaded = threading.Lock(), set[int](), 0

    def check_size(record: Record) -> None:
        if downloaded >= PART_BYTES and not last_chance:
            rest.add(record.entry)
            raise Deferred(record.attempts)

    earlier = EarlierDownloads(task, context)

    excused: dict[int, int] = {}  # by entry, for those whose hosts are busy: requests that do not count as attempts

    def fetch(record: Record, client: Downloader, slot: Slot, until: float | None) -> Record:
        nonlocal downloaded
        found = earlier.take(record)
        if found is not None:
            record, location = found
            writer.set_location(record.entry, location)
            return record
        check_size(record)
        sink = partial(writer.open_entry, record.entry)
        on_web = partial(
            client.fetch,
            sink=sink,
            previous_attempts=record.attempts,
            wait=retry_at.get(record.entry, 0.0) - time.time(),
            patience=None if until is None else max(0.0, until - time.monotonic()),
            excused=excused.get(record.entry, 0),
        )
        try:
            with slot(check), pace.asking(record.url):
                check_size(record)
                record, fetched = fetch_record(
                    record,
                    lambda url, validators: (
                        stored.fetch(url, sink, validators)
                        if stored is not None and is_stored(url)
                        else on_web(
                            url, validators=validators, defer_after=None if timeout is None else partial(timeout, url)
                        )
                    ),
                )
        except (EntryFailure, Deferred) as error:
            if isinstance(error, Deferred) and error.cause == "busy":
                excused[record.entry] = error.excused
            elif timeout is not None and record.entry not in rest and is_slow(error):
                timeout.record_timeout(record.url)
            raise
        with lock:
            downloaded += fetched.bytes_in
        pace.record(record.url, fetched.seconds)
        if timeout is not None:
            timeout.record_duration(record.served_url or record.url, fetched.seconds)
        return record

    def download(task: Task, client: Downloader, threads: int) -> Task:
        def run(part: Task, slot: Slot, until: float | None) -> Task:
            work = partial(fetch, client=client, slot=slot, until=until)
            return run_entries(part, context, Stage.DOWNLOAD, work, threads, wanted=pace.threads_for(slot))

        patience = None if last_chance else BUSY_PATIENCE
        return busy_hosts_last(
            task, run, (pace.slot, pace.capped_slot), lambda entry: entry in excused and entry not in rest, patience
        )

    digests = {record.entry: url_digest(record.url) for record in task.records} if context.staging.is_local else None
    with PackWriter(context.staging, task.name, Stage.DOWNLOAD, context.tick, digests) as writer:
        if last_chance:
            per_host = min(DEFERRED_THREADS, limits.run_per_host or limits.per_host * context.settings.max_concurrent)
            with downloader.with_capacity(threads=DEFERRED_THREADS, per_host=per_host) as larger:
                task = download(task, larger, DEFERRED_THREADS)
        else:
            task = download(task, downloader, limits.threads)
    return replace(
        task,
        locations=writer.locations,
        deferred=tuple(record for record in task.deferred if record.entry not in rest),
        rest=tuple(record for record in task.deferred if record.entry in rest),
    )
