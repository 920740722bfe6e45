"""Stage `download`: every body of a task into staging."""

import time
from dataclasses import replace
from functools import partial

from imgrelay_dagster.relay.errors import Deferred, EntryFailure
from imgrelay_dagster.relay.fetch.adaptive_timeout import AdaptiveTimeout
from imgrelay_dagster.relay.fetch.downloader import Downloader
from imgrelay_dagster.relay.outcomes import Reason, Record, Stage
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.runner import run_entries
from imgrelay_dagster.relay.staging.packs import PackWriter
from imgrelay_dagster.relay.staging.tasks import Task

DEFERRED_THREADS = 64
"""Downloads at once of what was set aside: they mostly wait."""


def download_task(task: Task, bench: StageContext, downloader: Downloader, *, last_chance: bool = False) -> Task:
    """Fetch every entry's body into staging.

    What takes far longer than the task's other downloads is set aside in `late`, except at the `last_chance`.
    That comes when no other step downloads any more, so it asks as much of a host as all of them did together.
    """
    patience, limits, due = None if last_chance else AdaptiveTimeout(), bench.settings.limits, task.due

    def fetch(record: Record, client: Downloader) -> Record:
        sink = partial(packing.body, record.line)
        wait = due.get(record.line, 0.0) - time.time()
        try:
            fetched = client.fetch(record.url, sink, patience=patience, made=record.attempts, wait=wait)
        except (EntryFailure, Deferred) as end:
            if patience is not None and (isinstance(end, Deferred) or end.reason is Reason.TIMEOUT):
                patience.hung()
            raise
        if patience is not None:
            patience.took(fetched.seconds)
        return replace(record, attempts=fetched.attempts, http_status=fetched.http_status, bytes_in=fetched.bytes_in)

    with PackWriter(bench.staging, task.name, Stage.DOWNLOAD, bench.tick) as packing:
        if last_chance:
            per_host = min(DEFERRED_THREADS, limits.per_host * bench.settings.max_concurrent)
            with downloader.widened(threads=DEFERRED_THREADS, per_host=per_host) as wide:
                task = run_entries(task, bench, Stage.DOWNLOAD, partial(fetch, client=wide), DEFERRED_THREADS)
        else:
            task = run_entries(task, bench, Stage.DOWNLOAD, partial(fetch, client=downloader), limits.threads)
    return replace(task, places=packing.places)
