"""Single stages of a run, without Dagster."""

import threading
from functools import partial
from pathlib import Path

from obstore.store import LocalStore, MemoryStore

from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.downloader import Downloader, Limits
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.outcomes import Record, Stage
from imgrelay_dagster.relay.progress.notes import StepCounts, StepProgress
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.receipts import read_receipts
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.stages.compose import compose_task
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.download import download_task
from imgrelay_dagster.relay.stages.upload import upload_task
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import Task

LIMITS = Limits(read_timeout=4.0, deadline=4.0, attempts=2, backoff=0.01, threads=8)
PREFIX = "_relay/birds/receipts/run1"


class StageRunner:
    """Runs single stages of one run, with a destination in memory and staging in a folder."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.folder = folder
        self.staging = Staging(LocalStore(folder, mkdir=True), "run1")
        self.settings = Settings(dataset="birds", destination="memory", limits=LIMITS)
        self.stop = threading.Event()

    def context(self, stage: Stage, settled: frozenset[int] = frozenset()) -> StageContext:
        return StageContext(
            settings=self.settings,
            staging=self.staging,
            receipts=ReceiptWriter(self.store, PREFIX, f"{stage}-{threading.get_ident()}-{id(object())}"),
            progress=StepProgress(self.staging, stage.value, StepCounts(stage, 0)),
            stop=self.stop,
            settled=settled,
        )

    def download(self, task: Task, **options: bool) -> Task:
        context = self.context(Stage.DOWNLOAD)
        with (
            context.receipts,
            Downloader(self.settings.limits, AddressGuard(["127.0.0.1"]), stop=self.stop) as downloader,
        ):
            return download_task(task, context, downloader, **options)

    def compose(self, task: Task) -> Task:
        context = self.context(Stage.COMPOSE)
        with context.receipts:
            return compose_task(task, context, TemplateFolder.shipped())

    def upload(self, task: Task, settled: frozenset[int] = frozenset()) -> Task:
        context = self.context(Stage.UPLOAD, settled)
        with context.receipts:
            return upload_task(task, context, self.store)

    def receipts(self) -> dict[int, Record]:
        return {record.line: record for record in read_receipts(self.store, PREFIX)}

    def staged(self) -> list[str]:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.folder)) for path in files if "notes" not in path.parts)


def task_of(*urls: str) -> Task:
    digest = TemplateFolder.shipped().load("frame.png").digest
    fingerprint = partial(
        Settings(dataset="birds", destination="memory").fingerprint_function(), template_digest=digest
    )
    records = [
        Record(line, url, key=f"k/{line}.jpg", fingerprint=fingerprint(url=url), template="frame.png")
        for line, url in enumerate(urls, 1)
    ]
    return Task("lines", tuple(records))
