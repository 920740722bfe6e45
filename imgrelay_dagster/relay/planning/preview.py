"""A dry run: what a run would do, found out without a request to any origin and without a trace in the destination."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from obstore.store import ObjectStore
from pydantic import TypeAdapter

from imgrelay_dagster.relay.formatting import count, most_frequent
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import Row
from imgrelay_dagster.relay.outcomes import Outcome
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.ledger import Planned
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.listing import ListedObject
from imgrelay_dagster.relay.storage.stores import folder_of

KEYS_SHOWN = 10
"""Keys of images that a preview names."""


@dataclass
class Preview:
    """What a run would do.

    Attributes:
        entries: entries of the manifest.
        to_relay: entries that have to be relayed.
        to_recheck: entries that are done, and are asked for again.
        unchanged: entries that an earlier run has relayed.
        failed: entries that fail already: malformed lines, conflicts, remembered failures.
        repeated: entries that repeat an earlier one.
        reasons: the number of failed entries by reason.
        keys: keys of the first images to relay.
        notes: what was found out about the manifest, such as the column of the URLs.
    """

    dataset: str
    destination: str
    template: str
    entries: int = 0
    to_relay: int = 0
    unchanged: int = 0
    failed: int = 0
    repeated: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dry_run: bool = True
    to_recheck: int = 0

    def lines(self) -> list[tuple[str, str]]:
        """The preview as pairs of a label and a text, for people."""
        pairs = [
            *(("manifest", note) for note in self.notes),
            ("entries", count(self.entries)),
            ("to relay", count(self.to_relay)),
            *([("to recheck", count(self.to_recheck))] if self.to_recheck else []),
            ("unchanged", count(self.unchanged)),
            ("repeated", count(self.repeated)),
            ("failed", count(self.failed) + (f": {most_frequent(self.reasons, 20)}" if self.reasons else "")),
            ("template", self.template),
            ("dataset", self.dataset),
            ("destination", self.destination),
        ]
        return pairs + [("keys" if not number else "", key) for number, key in enumerate(self.keys)]


preview_json = TypeAdapter(Preview)


def preview_run(
    rows: Callable[[Callable[[str], None]], Iterable[Row]],
    settings: Settings,
    *,
    run_id: str,
    store: ObjectStore,
    templates: TemplateFolder,
    scratch: Path,
    list_any: Callable[[], Iterator[ListedObject]] | None = None,
    tick: Callable[[], None] = lambda: None,
    day: str | None = None,
) -> Preview:
    """Plan every manifest line, and write nothing.

    Args:
        rows: opens the manifest; it gets a function that takes notes about it.
        run_id: the id under which the destination was checked.
        day: the run's day, for patterns of keys; today in UTC if None.

    Raises:
        RelayError: the manifest or the run's template is not valid, or the destination failed.
    """
    preview = Preview(settings.dataset, settings.destination, settings.template)
    reasons = Counter[str]()

    def observe(planned: Planned) -> None:
        record = planned.record
        preview.entries += 1
        if record.outcome is Outcome.UNCHANGED:
            preview.unchanged += 1
        elif record.outcome is Outcome.FAILED and record.reason is not None:
            preview.failed += 1
            reasons[record.reason.value] += 1
        elif planned.same_as is not None:
            preview.repeated += 1
        elif record.earlier is not None:
            preview.to_recheck += 1
        else:
            preview.to_relay += 1
            if len(preview.keys) < KEYS_SHOWN and record.key is not None:
                preview.keys.append(record.key)

    plan_run(
        rows(preview.notes.append),
        settings,
        run_id=run_id,
        store=store,
        templates=templates,
        scratch=scratch,
        list_any=list_any,
        tick=tick,
        day=day,
        tell=preview.notes.append,
        observe=observe,
        publish=False,
    )
    preview.reasons = dict(reasons.most_common())
    _remove_empty_folders(store, run_receipts_prefix(settings.dataset, run_id))
    return preview


def _remove_empty_folders(store: ObjectStore, prefix: str) -> None:
    """Remove the folders that the check of a local destination has left."""
    folder = folder_of(store)
    if folder is not None:
        with suppress(OSError):  # one of them is not empty, or does not exist
            for path in (folder / prefix, *(folder / prefix).parents):
                path.rmdir()
                if path == folder:
                    break
