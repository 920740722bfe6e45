"""The bare engine: the work of `imgrelay run` without Dagster, with the same code, processes and threads.

python -m benchmarks.bare MANIFEST DESTINATION SCRATCH [--processes 2] [--format jpeg] [--download-threads 16]
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
import uuid
from dataclasses import replace
from functools import cache, partial
from itertools import repeat
from pathlib import Path

from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.downloader import Downloader
from imgrelay_dagster.relay.imaging.compose import Format, Output
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.sources import open_manifest
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.progress.notes import StepCounts, StepProgress
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.summary import summary_json
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.stages.compose import compose_task
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.download import download_task
from imgrelay_dagster.relay.stages.upload import upload_task
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import LARGEST_TASK, Task, split_into_tasks
from imgrelay_dagster.relay.storage.s3_settings import S3Settings
from imgrelay_dagster.relay.storage.stores import open_store

RUN_ID = "bare-" + uuid.uuid4().hex
_templates = cache(TemplateFolder.shipped)


def main() -> None:
    """Plan, process the tasks, write the results, print the summary."""
    parser = argparse.ArgumentParser()
    parser.add_argument("manifest")
    parser.add_argument("destination")
    parser.add_argument("scratch")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--format", default="jpeg", choices=[str(name) for name in Format])
    defaults = Settings(dataset="", destination="")
    for stage, threads in zip(
        Stage, (defaults.limits.threads, defaults.compose_threads, defaults.upload_threads), strict=True
    ):
        parser.add_argument(f"--{stage.value}-threads", type=int, default=threads)
    options = parser.parse_args()
    started = time.time()
    settings = Settings(
        dataset="bare",
        destination=options.destination,
        output=Output(format=Format(options.format)),
        max_concurrent=options.processes,
        limits=replace(defaults.limits, threads=options.download_threads, per_host=options.download_threads),
        compose_threads=options.compose_threads,
        upload_threads=options.upload_threads,
    )
    # The processes are forked before a store is opened, because the store's threads do not survive a fork.
    with multiprocessing.get_context("fork").Pool(options.processes) as pool, tempfile.TemporaryDirectory() as folder:
        store = open_store(settings.destination, _s3())
        rows = open_manifest(options.manifest, open_store)
        plan = plan_run(rows, settings, run_id=RUN_ID, store=store, templates=_templates(), scratch=Path(folder))
        work = partial(relay, settings=settings, scratch=options.scratch)
        done = list(pool.imap_unordered(work, plan.tasks()))
        retry_at = {line: at for ended in done for line, at in ended.retry_at.items()}
        for task in split_into_tasks((record for ended in done for record in ended.deferred), repeat(LARGEST_TASK)):
            work(replace(task, name=f"deferred_{task.name}", retry_at=retry_at), last_chance=True)
    summary = write_results(store, settings.dataset, run_id=RUN_ID, seconds=time.time() - started)
    _staging(options.scratch).clear()
    assert summary is not None
    print(summary_json.dump_json(summary).decode())


def relay(task: Task, *, settings: Settings, scratch: str, last_chance: bool = False) -> Task:
    """Run all three stages of one task, also for the entries for which it was full; return the deferred entries."""
    name, deferred, retry_at = task.name, task.deferred, dict(task.retry_at)
    while True:
        composed, uploaded = _relay_part(task, settings, scratch, last_chance)
        deferred += uploaded.deferred
        retry_at |= uploaded.retry_at
        if not composed.rest:
            return replace(uploaded, deferred=deferred, retry_at=retry_at)
        task = composed.next_part(name)


def _relay_part(task: Task, settings: Settings, scratch: str, last_chance: bool) -> tuple[Task, Task]:
    """Run all three stages of a part of a task; return it composed and uploaded."""
    composed = task
    store, stop = open_store(settings.destination, _s3()), threading.Event()
    for stage in Stage:
        name = f"{stage.value}-{task.name}"
        staging = _staging(scratch)
        with ReceiptWriter(store, run_receipts_prefix(settings.dataset, RUN_ID), f"{name}-{os.getpid()}") as receipts:
            progress = StepProgress(staging, name, StepCounts(stage, len(task.records)))
            context = StageContext(settings, staging, receipts, progress, stop)
            if stage is Stage.DOWNLOAD:
                with Downloader(settings.limits, AddressGuard(["127.0.0.0/8"]), stop=stop) as downloader:
                    task = download_task(task, context, downloader, last_chance=last_chance)
            elif stage is Stage.COMPOSE:
                task = composed = compose_task(task, context, _templates())
            else:
                task = upload_task(task, context, store)
    return composed, task


def _staging(scratch: str) -> Staging:
    return Staging(open_store(scratch, _s3()), RUN_ID)


def _s3() -> S3Settings:
    return S3Settings(
        endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"],
        region=os.environ["AWS_REGION"],
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )


if __name__ == "__main__":
    main()
