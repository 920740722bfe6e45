"""A dry run: what a run would do, found out without a request to any origin and without a trace in the destination."""

from contextlib import suppress
from dataclasses import dataclass, field

from obstore.store import ObjectStore
from pydantic import TypeAdapter

from imgrelay_dagster.relay.formatting import count, most_frequent
from imgrelay_dagster.relay.outcomes import Outcome
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.ledger import Planned
from imgrelay_dagster.relay.storage.objects import remove_empty_folders
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

    def add(self, planned: Planned) -> None:
        """Count a planned manifest line."""
        record = planned.record
        self.entries += 1
        if record.outcome is Outcome.UNCHANGED:
            self.unchanged += 1
        elif record.outcome is Outcome.FAILED and record.reason is not None:
            self.failed += 1
            self.reasons[record.reason.value] = self.reasons.get(record.reason.value, 0) + 1
        elif planned.same_as is not None:
            self.repeated += 1
        elif record.earlier is not None:
            self.to_recheck += 1
        else:
            self.to_relay += 1
            if len(self.keys) < KEYS_SHOWN and record.key is not None:
                self.keys.append(record.key)

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


def remove_traces(store: ObjectStore, dataset: str, run_id: str) -> None:
    """Remove the folders that the check of a local destination has left."""
    remove_empty_folders(store, run_receipts_prefix(dataset, run_id))
    folder = folder_of(store)
    if folder is not None:
        with suppress(OSError):  # it is not empty
            folder.rmdir()
