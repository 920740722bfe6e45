"""The bare engine: what `imgrelay run` does, by the same code in as many processes and threads, without Dagster.

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
from pathlib import Path

from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.downloader import Downloader
from imgrelay_dagster.relay.imaging.compose import Format, Output
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.sources import open_manifest
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.progress.notes import StepCounts, StepProgress
from imgrelay_dagster.relay.records.layout import run_receipts
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.results.fold import summary_json, write_results
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.stages.compose import compose_task
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.download import download_task
from imgrelay_dagster.relay.stages.upload import upload_task
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import LARGEST_TASK, Task, cut
from imgrelay_dagster.relay.storage.stores import S3Settings, open_store

RUN_ID = "bare-" + uuid.uuid4().hex
_templates = cache(TemplateFolder.shipped)


def main() -> None:
    """Plan, work through the tasks, write the results, print the summary."""
    parser = argparse.ArgumentParser()
    parser.add_argument("manifest")
    parser.add_argument("destination")
    parser.add_argument("scratch")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--format", default="jpeg", choices=[str(name) for name in Format])
    usual = Settings(dataset="", destination="")
    for stage, threads in zip(Stage, (usual.limits.threads, usual.compose_threads, usual.upload_threads), strict=True):
        parser.add_argument(f"--{stage.value}-threads", type=int, default=threads)
    given = parser.parse_args()
    began = time.time()
    settings = Settings(
        dataset="bare",
        destination=given.destination,
        output=Output(format=Format(given.format)),
        max_concurrent=given.processes,
        limits=replace(usual.limits, threads=given.download_threads, per_host=given.download_threads),
        compose_threads=given.compose_threads,
        upload_threads=given.upload_threads,
    )
    # Forked before the first store is opened: its threads do not survive a fork.
    with multiprocessing.get_context("fork").Pool(given.processes) as pool, tempfile.TemporaryDirectory() as folder:
        store = open_store(settings.destination, _s3())
        rows = open_manifest(given.manifest, open_store)
        plan = plan_run(rows, settings, run_id=RUN_ID, store=store, templates=_templates(), scratch=Path(folder))
        work = partial(relay, settings=settings, scratch=given.scratch)
        done = list(pool.imap_unordered(work, plan.tasks()))
        due = {line: at for ended in done for line, at in ended.due.items()}
        for task in cut((record for ended in done for record in ended.late), LARGEST_TASK):
            work(replace(task, name=f"late_{task.name}", due=due), last_chance=True)
    summary = write_results(store, settings.dataset, run_id=RUN_ID, seconds=time.time() - began)
    _staging(given.scratch).clear()
    assert summary is not None
    print(summary_json.dump_json(summary).decode())


def relay(task: Task, *, settings: Settings, scratch: str, last_chance: bool = False) -> Task:
    """All three stages of one task; in what is left of it, what was set aside."""
    store, stop = open_store(settings.destination, _s3()), threading.Event()
    for stage in Stage:
        name = f"{stage.value}-{task.name}"
        staging = _staging(scratch)
        with ReceiptWriter(store, run_receipts(settings.dataset, RUN_ID), f"{name}-{os.getpid()}") as receipts:
            progress = StepProgress(staging, name, StepCounts(stage, len(task.records)))
            bench = StageContext(settings, staging, receipts, progress, stop)
            if stage is Stage.DOWNLOAD:
                with Downloader(settings.limits, AddressGuard(["127.0.0.1"]), stop=stop) as downloader:
                    task = download_task(task, bench, downloader, last_chance=last_chance)
            elif stage is Stage.COMPOSE:
                task = compose_task(task, bench, _templates())
            else:
                task = upload_task(task, bench, store)
    return task


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
