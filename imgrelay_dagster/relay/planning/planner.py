"""Planning a run: read the manifest and the receipts of earlier runs, write the ledger."""

import gzip
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import BadRow, ManifestRow
from imgrelay_dagster.relay.planning.entry_planner import EntryPlanner
from imgrelay_dagster.relay.planning.found_windows import FoundWindows
from imgrelay_dagster.relay.planning.key_claims import KeyClaims
from imgrelay_dagster.relay.planning.plan import Plan
from imgrelay_dagster.relay.records.key_index import OtherDatasets
from imgrelay_dagster.relay.records.layout import ledger_key, receipts_prefix, shards_ledger_key
from imgrelay_dagster.relay.records.ledger import Planned, planned_json, settings_json
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex
from imgrelay_dagster.relay.records.receipts import read_receipts
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.listing import ListedObject, file_size, object_sizes
from imgrelay_dagster.relay.storage.objects import put_object
from imgrelay_dagster.relay.storage.stores import folder_of

TICK_LINES = 500
"""Lines, receipts or objects that are processed between two calls of `tick`."""


def plan_run(
    rows: Iterable[ManifestRow | BadRow],
    settings: Settings,
    *,
    run_id: str,
    store: ObjectStore,
    templates: TemplateFolder,
    scratch: Path,
    list_any: Callable[[], Iterator[ListedObject]] | None = None,
    tick: Callable[[], None] = lambda: None,
    day: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
    observe: Callable[[Planned], None] = lambda _: None,
    publish: bool = True,
) -> Plan:
    """Plan each manifest line and write the ledger into the destination.

    Args:
        rows: the manifest's lines; iterated once and never all in memory.
        store: the destination.
        scratch: a folder for temporary files, which the caller deletes; the plan's tasks are read from it.
        list_any: lists a destination whose keys obstore rejects.
        tick: called every `TICK_LINES` lines; an exception that it raises ends the planning.
        day: the run's day, for patterns of keys; today in UTC if None.
        tell: called with a sentence about each thing that is conspicuous in the manifest as a whole.
        note: called with a sentence about each thing that was found out for the run, such as a template's window.
        observe: called with each ledger line.
        publish: write the ledger into the destination. A dry run does not.

    Raises:
        RelayError: the manifest or the run's template is not valid, or the destination failed.
    """
    templates.load(settings.template)
    ledger_file = scratch / "ledger.gz"
    plan = Plan(ledger_file, settings)
    with (
        ReceiptIndex(scratch / "receipts.db") as receipts,
        KeyClaims(scratch / "claims.db") as claims,
        OtherDatasets(scratch / "others.db") as others,
    ):
        _load_receipts(receipts, store, settings, tick)
        if not settings.replace_others:
            skipped = others.load(store, settings.dataset, settings.is_related_dataset)
            if skipped:
                tell(f"{skipped} other datasets of the destination are too large to check for keys of theirs")
        tick()
        folder = folder_of(store)
        if settings.verify and not settings.refresh and folder is None:
            for number, (key, size) in enumerate(object_sizes(store, list_any)):
                receipts.mark_stored(key, size)
                if number % TICK_LINES == 0:
                    tick()
        stored_size = receipts.stored_size if folder is None else partial(file_size, folder)
        planner = EntryPlanner(
            settings,
            templates,
            receipts,
            claims,
            stored_size,
            others.owner,
            in_folder=folder is not None,
            day=day,
            windows=FoundWindows(settings.layout, note, tell),
        )
        with gzip.open(ledger_file, "wb", compresslevel=1) as ledger:
            ledger.write(settings_json.dump_json(settings) + b"\n")
            for number, row in enumerate(rows):
                planned = planner.plan(row)
                plan.count(planned)
                observe(planned)
                ledger.write(planned_json.dump_json(planned) + b"\n")
                if number % TICK_LINES == 0:
                    tick()
        planner.report(tell)
    tick()
    if not publish:
        return plan
    key = (shards_ledger_key if plan.shards else ledger_key)(settings.dataset, run_id)
    try:
        put_object(store, key, ledger_file, "application/gzip")
    except (BaseError, OSError) as error:
        raise RelayError(f"the ledger cannot be written to {settings.destination!r}: {explain(error)}") from error
    return plan


def _load_receipts(index: ReceiptIndex, store: ObjectStore, settings: Settings, tick: Callable[[], None]) -> None:
    if settings.refresh:
        return
    for number, record in enumerate(read_receipts(store, receipts_prefix(settings.dataset))):
        if record.key_identity is not None:
            index.add(record.key_identity, record)
        if number % TICK_LINES == 0:
            tick()
