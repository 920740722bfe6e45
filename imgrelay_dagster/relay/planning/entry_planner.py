"""Planning one entry: whether it has to be relayed, and its outcome if not."""

import time
from collections.abc import Callable

from imgrelay_dagster.relay.errors import EntryFailure, RelayError, StoreFailure
from imgrelay_dagster.relay.formatting import count
from imgrelay_dagster.relay.imaging.layout import parse_focus
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.keys import IMAGE_EXTENSION
from imgrelay_dagster.relay.manifest.rows import BadRow, ManifestRow
from imgrelay_dagster.relay.open_keys import EXTENSIONS
from imgrelay_dagster.relay.outcomes import EarlierImage, Outcome, Reason, Record, changed
from imgrelay_dagster.relay.planning.entry_keys import EntryKeys
from imgrelay_dagster.relay.planning.found_windows import FoundWindows
from imgrelay_dagster.relay.planning.key_claims import Claim, KeyClaims
from imgrelay_dagster.relay.planning.recheck import with_earlier_image
from imgrelay_dagster.relay.planning.remembered import remembered_detail
from imgrelay_dagster.relay.records.ledger import Planned
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.source_access import check_source

MAX_CACHED_FOLDERS = 1_000
"""Claimed folders held in memory. The others are looked up in the index again."""


_DONE = (Outcome.UPLOADED, Outcome.UNCHANGED)


class EntryPlanner:
    """Plans the lines of one manifest, in order.

    Args:
        receipts: receipts of earlier runs, by key.
        claims: an empty database, to hold the first line of each key.
        stored_size: size in bytes of the object under a key; None where there is no object.
        other_owner: the dataset that stored an image with another fingerprint under a key; None if none did.
        in_folder: the destination is a local folder, where one key cannot be both a file and a folder.
        day: the run's day, for patterns of keys; today if None.
        windows: told the templates that the entries use.
    """

    def __init__(
        self,
        settings: Settings,
        templates: TemplateFolder,
        receipts: ReceiptIndex,
        claims: KeyClaims,
        stored_size: Callable[[str], int | None],
        other_owner: Callable[[str, str], str | None] = lambda _key, _fingerprint: None,
        *,
        in_folder: bool,
        day: str | None = None,
        windows: FoundWindows | None = None,
    ) -> None:
        self._windows = windows
        self._settings = settings
        self._fingerprint = settings.fingerprint_function()
        self._templates = templates
        self._receipts = receipts
        self._claims = claims
        self._stored_size = stored_size
        self._other_owner = other_owner
        self._in_folder = in_folder
        self._keys = EntryKeys(settings, day)
        self._due_again = 0
        self._claimed_folders: set[str] = set()  # a cache of some of those in the index

    def plan(self, row: ManifestRow | BadRow) -> Planned:
        """Return the ledger line of one manifest line."""
        if isinstance(row, BadRow):
            record = Record(row.line, row.text, carried=dict(row.carried))
            return Planned(_failed(record, Reason.INVALID_ENTRY, row.error))
        record = Record(
            row.line,
            row.url,
            template=row.template or self._settings.template,
            part=row.part,
            given_url=row.given_url,
            carried=dict(row.carried),
            expected=dict(row.expected),
            fallback_urls=row.fallback_urls,
            focus=row.focus if self._settings.layout.uses_focus else None,
        )
        try:
            record = self._identify(record, row)
        except EntryFailure as failure:
            return Planned(_failed(changed(record, key=row.key), failure.reason, failure.detail))
        assert record.key is not None
        claim = Claim.of(record)
        conflict = self._conflict(record.key, claim)
        if conflict is not None:
            return Planned(_failed(record, Reason.KEY_CONFLICT, conflict))
        first = self._claim(record.key, claim)
        if first is not None and not first.is_same_image(claim):
            detail = f"line {first.line} already claims the key {first.key!r}"
            return Planned(_failed(record, Reason.KEY_CONFLICT, detail))
        record = self._with_receipt(record)
        if first is None or record.outcome is not None:
            return Planned(record)
        return Planned(record, first.line, first.part)

    def report(self, tell: Callable[[str], None]) -> None:
        """Tell what was conspicuous in the manifest as a whole, a sentence each."""
        self._keys.report(tell)
        if self._due_again:
            tell(
                f"{count(self._due_again)} entries that are done are due again: template, layout or output are not "
                "those with which they were last relayed"
            )

    def _identify(self, record: Record, row: ManifestRow) -> Record:
        """The record with its key and fingerprint.

        Raises:
            EntryFailure: URL, key or template is not valid.
        """
        check_source(row.url, self._settings.originals)
        if record.focus is not None:
            try:
                parse_focus(record.focus)
            except RelayError as error:
                raise EntryFailure(Reason.INVALID_ENTRY, str(error)) from error
        key = self._keys.key_of(row, record.template or "")
        try:
            template = self._templates.load(record.template or "")
        except StoreFailure:
            raise
        except RelayError as error:
            raise EntryFailure(Reason.TEMPLATE_MISSING, str(error)) from error
        if self._windows is not None:
            self._windows.note(template)
        return changed(
            record,
            key=key,
            fingerprint=self._fingerprint(url=row.url, template_digest=template.digest, focus=record.focus),
        )

    def _conflict(self, key: str, claim: Claim) -> str | None:
        """Why the key cannot be used beside those of earlier lines and of other datasets; None if it can."""
        for possible in self._settings.possible_keys(key):
            obstacle = self._path_conflict(possible, claim) if self._in_folder else None
            if obstacle is not None:
                return f"line {obstacle.line} claims the key {obstacle.key!r}: a key cannot be both a file and a folder"
            owner = self._other_owner(possible, claim.fingerprint or "")
            if owner is not None:
                return (
                    f"dataset {owner!r} stores another image under the key {possible!r}; use another key or prefix, or "
                    "set replace_others"
                )
        return None

    def _claim(self, key: str, claim: Claim) -> Claim | None:
        """The earlier line that claims the key, or one that it may become; None if it is this line's now."""
        possible = self._settings.possible_keys(key)
        found = next(filter(None, map(self._claims.get, possible)), None) if len(possible) > 1 else None
        if found is not None:
            return found
        return next(filter(None, [self._claims.claim(each, claim) for each in possible]), None)

    def _path_conflict(self, key: str, claim: Claim) -> Claim | None:
        """An earlier line whose file is a parent folder of `key`, or that needs a folder where `key` is a file.

        Without a conflict, claims the parent folders of `key` for this line.
        """
        found = self._claims.get(f"{key}/")
        parent = key.rpartition("/")[0]
        if found is not None or not parent or parent in self._claimed_folders:
            return found
        parents = [key[:at] for at, character in enumerate(key) if character == "/"]
        found = next(filter(None, map(self._claims.get, parents)), None)
        if found is None:
            for parent in parents:
                self._claims.claim(f"{parent}/", claim)
            if len(self._claimed_folders) == MAX_CACHED_FOLDERS:
                self._claimed_folders.clear()
            self._claimed_folders.add(parents[-1])
        return found

    def _with_receipt(self, record: Record) -> Record:
        """The record with what an earlier run's receipt says; without an outcome when it has to be relayed."""
        assert record.key is not None
        receipt = None if self._settings.refresh else self._receipts.get(record.key)
        if receipt is None or receipt.fingerprint != record.fingerprint:  # without one, its image was pruned
            self._due_again += self._was_done(record, receipt)
            return record
        if receipt.outcome in _DONE:
            image = EarlierImage.of(receipt)
            if not self._is_reusable(image, receipt, record):
                return record
            return with_earlier_image(record, image, receipt, self._settings, time.time())
        detail = remembered_detail(receipt, self._settings, time.time())
        if detail is not None:
            return changed(
                record, outcome=Outcome.FAILED, reason=receipt.reason, detail=detail, http_status=receipt.http_status
            )
        # An entry that was done, and failed when it was asked for again, still has its image.
        before = receipt.earlier
        if before is not None and self._is_reusable(before, receipt, record):
            return changed(record, earlier=before)
        return record

    def _was_done(self, record: Record, receipt: Record | None) -> bool:
        """Whether the entry's URL was done with other settings, also under the key of another output format."""
        if self._settings.refresh:
            return False
        stem = IMAGE_EXTENSION.sub("", record.key or "")
        others = (self._receipts.get(f"{stem}.{extension}") for extension in EXTENSIONS)
        found = receipt or next(filter(None, others), None)
        return (
            found is not None
            and found.fingerprint not in (None, record.fingerprint)
            and found.outcome in _DONE
            and found.url == record.url
        )

    def _is_reusable(self, image: EarlierImage, receipt: Record, record: Record) -> bool:
        """Whether an image is in the destination, as far as the run is to find out, and made of the right source."""
        if self._settings.verify and self._stored_size(image.key or record.key or "") != image.bytes_out:
            return False
        return not self._is_pruned(image, receipt) and _is_wanted_source(image, receipt, record, self._settings)

    def _is_pruned(self, image: EarlierImage, receipt: Record) -> bool:
        """Whether the image of a key that was open when it was planned was deleted since: under its own key."""
        if image.planned_key is None or image.key is None:
            return False
        newest = self._receipts.get(image.key)
        return newest is not None and newest.fingerprint is None and (newest.at or 0.0) >= (receipt.at or 0.0)


def _is_wanted_source(image: EarlierImage, receipt: Record, record: Record, settings: Settings) -> bool:
    """Whether the image that was stored was made of the source that the manifest means today."""
    found = {"sha256": image.source_sha256, "size": str(image.bytes_in) if image.bytes_in else None}
    found["version"] = receipt.expected.get("version")
    differs = any(value is not None and record.expected.get(name, value) != value for name, value in found.items())
    return not differs and image.source_sha256 not in settings.reject_sources


def _failed(record: Record, reason: Reason, detail: str) -> Record:
    return changed(record, outcome=Outcome.FAILED, reason=reason, detail=detail, at=time.time())
