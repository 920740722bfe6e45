"""Planning a run: which entries are left to do, and what becomes of the others."""

import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.keys import check_key
from imgrelay_dagster.relay.manifest.reader import BadRow, ManifestRow
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, is_permanent
from imgrelay_dagster.relay.records.layout import ledger_key, relay_prefix, run_receipts, shards_ledger_key
from imgrelay_dagster.relay.records.ledger import Planned, planned_json, settings_json
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex
from imgrelay_dagster.relay.records.receipts import read_receipts
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.tasks import Task, cut, entries_per_task
from imgrelay_dagster.relay.storage.listing import Listed, size_in, sizes
from imgrelay_dagster.relay.storage.stores import delete_objects, explain, folder_of, put_object
from imgrelay_dagster.relay.urls import check_url

MOST_FOLDERS = 1_000
"""Folders remembered while planning; what is known of the others is asked for again."""


def check_destination(store: ObjectStore, settings: Settings, run_id: str) -> None:
    """Write and remove a small object, so that a wrong bucket fails the run and not its entries one by one.

    Raises:
        RelayError: the destination does not take objects.
    """
    probe = f"{run_receipts(settings.dataset, run_id)}/probe"
    try:
        put_object(store, probe, b"imgrelay", "text/plain")
        delete_objects(store, [probe])
    except (BaseError, OSError) as error:
        raise RelayError(
            f"destination {settings.destination!r} does not take objects: {explain(error)}; check that the bucket "
            "or folder exists, that its credentials allow writing, and AWS_ENDPOINT_URL_S3 for S3-compatible stores"
        ) from error


class Plan:
    """A planned run: how many entries there are, how many are left, and the tasks they are cut into."""

    def __init__(self, ledger: Path, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings
        self.entries = 0
        self.left = 0
        self.decided: dict[str, int] = {}

    def count(self, planned: Planned) -> None:
        """Take one ledger line into the counts."""
        self.entries += 1
        outcome = planned.record.outcome
        if outcome is not None:
            self.decided[outcome.value] = self.decided.get(outcome.value, 0) + 1
        elif planned.same_as is None:
            self.left += 1

    @property
    def shards(self) -> int:
        """Into how many shard runs this one is to be cut; 0 when it does everything itself."""
        most = self._settings.max_entries_per_run
        if most is None or self._settings.shard is not None or self.left <= most:
            return 0
        return ceil(self.left / most)

    @property
    def task_size(self) -> int:
        """Entries in one task."""
        return entries_per_task(
            self.left, wanted=self._settings.urls_per_task, max_concurrent=self._settings.max_concurrent
        )

    def tasks(self) -> Iterator[Task]:
        """The tasks, in manifest order; none for a run that is to be cut into shards."""
        if self.shards:
            return
        with gzip.open(self._ledger) as lines:
            next(lines)
            planned = map(planned_json.validate_json, lines)
            due = (line.record for line in planned if line.record.outcome is None and line.same_as is None)
            yield from cut(due, self.task_size)


class Planner:
    """Decides, line by line, what is to be done."""

    def __init__(
        self,
        settings: Settings,
        templates: TemplateFolder,
        done: ReceiptIndex,
        seen: ReceiptIndex,
        stored_size: Callable[[str], int | None],
        *,
        in_folder: bool,
    ) -> None:
        self._settings = settings
        self._fingerprint = settings.fingerprints()
        self._templates = templates
        self._done = done
        self._seen = seen
        self._stored_size = stored_size
        self._in_folder = in_folder
        self._folders: set[str] = set()  # some of those that are claimed

    def decide(self, row: ManifestRow | BadRow) -> Planned:
        """What becomes of one manifest line."""
        if isinstance(row, BadRow):
            return Planned(_failed(Record(row.line, row.text), Reason.INVALID_ENTRY, row.why))
        record = Record(row.line, row.url, template=row.template or self._settings.template)
        try:
            record = self._identify(record, row)
        except EntryFailure as failure:
            return Planned(_failed(replace(record, key=row.key), failure.reason, failure.detail))
        assert record.key is not None
        in_the_way = self._in_the_way(record.key, record) if self._in_folder else None
        if in_the_way is not None:
            detail = (
                f"line {in_the_way.line} claims the key {in_the_way.key!r}: one of the two would be a file and a folder"
            )
            return Planned(_failed(record, Reason.KEY_CONFLICT, detail))
        claimed = self._seen.claim(record.key, record)
        if claimed is not None and (claimed.url, claimed.fingerprint) != (record.url, record.fingerprint):
            detail = f"line {claimed.line} already claims the key {record.key!r}"
            return Planned(_failed(record, Reason.KEY_CONFLICT, detail))
        decided = self._already(record)
        if decided is not None:
            return Planned(decided)
        return Planned(record, same_as=claimed.line if claimed else None)

    def _identify(self, record: Record, row: ManifestRow) -> Record:
        check_url(row.url)
        if row.key is not None:
            check_key(row.key)
        try:
            digest = self._templates.load(record.template or "").digest
        except RelayError as error:
            raise EntryFailure(Reason.TEMPLATE_MISSING, str(error)) from error
        return replace(
            record,
            key=row.key or self._settings.default_key(row.url),
            fingerprint=self._fingerprint(url=row.url, template_digest=digest),
        )

    def _in_the_way(self, key: str, record: Record) -> Record | None:
        """An earlier line whose file would be a folder on the way to this one's, or the other way round."""
        found = self._seen.get(f"{key}/")
        parent = key.rpartition("/")[0]
        if found is not None or not parent or parent in self._folders:
            return found
        parents = [key[:at] for at, character in enumerate(key) if character == "/"]
        found = next(filter(None, map(self._seen.get, parents)), None)
        if found is None:
            for parent in parents:
                self._seen.claim(f"{parent}/", record)
            if len(self._folders) == MOST_FOLDERS:
                self._folders.clear()
            self._folders.add(parents[-1])
        return found

    def _already(self, record: Record) -> Record | None:
        """The outcome that an earlier run's receipt settles, or None when the entry is due."""
        assert record.key is not None
        receipt = None if self._settings.refresh else self._done.get(record.key)
        if receipt is None or receipt.fingerprint != record.fingerprint:
            return None
        if receipt.outcome is Outcome.UPLOADED:
            if self._settings.verify and self._stored_size(record.key) != receipt.bytes_out:
                return None
            return replace(
                record,
                outcome=Outcome.UNCHANGED,
                bytes_out=receipt.bytes_out,
                width=receipt.width,
                height=receipt.height,
                sha256=receipt.sha256,
            )
        if is_permanent(receipt) and not self._settings.retry_permanent:
            return replace(
                record,
                outcome=Outcome.FAILED,
                reason=receipt.reason,
                detail=receipt.detail,
                http_status=receipt.http_status,
            )
        return None


def plan_run(
    rows: Iterable[ManifestRow | BadRow],
    settings: Settings,
    *,
    run_id: str,
    store: ObjectStore,
    templates: TemplateFolder,
    scratch: Path,
    list_any: Callable[[], Iterator[Listed]] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Plan:
    """Read the manifest against the receipts and put the ledger into the destination.

    Args:
        rows: the manifest's lines; read once, never held together.
        scratch: a folder for files that are dropped when the caller removes it.
        list_any: lists the destination where obstore cannot.
        tick: called now and then; what it raises ends the planning.

    Raises:
        RelayError: the manifest, the run's template or the destination is at fault.
    """
    templates.load(settings.template)
    plan = Plan(scratch / "ledger.jsonl.gz", settings)
    with ReceiptIndex(scratch / "done.db") as done, ReceiptIndex(scratch / "seen.db") as seen:
        _load_receipts(done, store, settings, tick)
        folder = folder_of(store)
        if settings.verify and not settings.refresh and folder is None:
            for number, (key, size) in enumerate(sizes(store, list_any)):
                done.mark_stored(key, size)
                if number % 500 == 0:
                    tick()
        stored_size = done.stored_size if folder is None else partial(size_in, folder)
        planner = Planner(settings, templates, done, seen, stored_size, in_folder=folder is not None)
        with gzip.open(scratch / "ledger.jsonl.gz", "wb", compresslevel=1) as ledger:
            ledger.write(settings_json.dump_json(settings) + b"\n")
            for number, row in enumerate(rows):
                planned = planner.decide(row)
                plan.count(planned)
                ledger.write(planned_json.dump_json(planned) + b"\n")
                if number % 500 == 0:
                    tick()
    tick()
    key = (shards_ledger_key if plan.shards else ledger_key)(settings.dataset, run_id)
    try:
        put_object(store, key, scratch / "ledger.jsonl.gz", "application/gzip")
    except (BaseError, OSError) as error:
        raise RelayError(f"the ledger cannot be written to {settings.destination!r}: {explain(error)}") from error
    return plan


def _load_receipts(done: ReceiptIndex, store: ObjectStore, settings: Settings, tick: Callable[[], None]) -> None:
    if settings.refresh:
        return
    for number, record in enumerate(read_receipts(store, f"{relay_prefix(settings.dataset)}/receipts")):
        if record.key is not None:
            done.add(record.key, record)
        if number % 500 == 0:
            tick()


def _failed(record: Record, reason: Reason, detail: str) -> Record:
    return replace(record, outcome=Outcome.FAILED, reason=reason, detail=detail, at=time.time())
