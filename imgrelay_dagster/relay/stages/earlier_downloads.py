"""Downloads that a step need not make: an earlier start of it made them before it was killed, or an earlier run."""

from imgrelay_dagster.relay.outcomes import Record, changed
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.staging.originals import url_digest
from imgrelay_dagster.relay.staging.pack_location import PackLocation
from imgrelay_dagster.relay.staging.tasks import Task


class EarlierDownloads:
    """The downloads of a task that are in staging or kept on this host already."""

    def __init__(self, task: Task, context: StageContext) -> None:
        self._left = context.staging.left_downloads(task.name) if context.restart else {}
        self._kept = context.staging.originals_of(context.settings.dataset, task.name)

    def take(self, record: Record) -> tuple[Record, PackLocation] | None:
        """The record of a downloaded entry, and where its bytes are; None if it must be downloaded."""
        if record.earlier is not None:
            return None
        left = self._left.get(url_digest(record.url)) if self._left else None
        if left is not None and not record.fallback_urls:  # otherwise it is unknown which URL served it
            return changed(record, bytes_in=left.size, attempts=max(1, record.attempts)), left
        kept = self._kept.take(record.url) if self._kept is not None else None
        return None if kept is None else (changed(record, bytes_in=0), kept)
