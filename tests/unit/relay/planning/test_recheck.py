"""Which entries are asked for again, and what their receipts then say."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.outcomes import EarlierImage, Outcome, Reason, Record
from imgrelay_dagster.relay.planning.entry_planner import EntryPlanner
from imgrelay_dagster.relay.planning.key_claims import KeyClaims
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.results.mirror import stored_images
from imgrelay_dagster.relay.settings import Settings

SETTINGS = Settings(dataset="birds", destination="memory", recheck=30.0)
ROW = ManifestRow(1, "http://h/a.jpg")
DAY = 86_400
SHA = "a" * 64
FIELDS = {"bytes_in": 7, "bytes_out": 5, "sha256": "ab", "source_sha256": SHA, "frames": 1, "validators": {"etag": "x"}}


class Planning:
    """Plans `ROW` after an earlier run whose receipt is given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0

    def plan(self, receipt: Record | None = None, row: ManifestRow = ROW, settings: Settings = SETTINGS) -> Record:
        self._runs += 1
        with (
            ReceiptIndex(self._folder / f"receipts{self._runs}") as receipts,
            KeyClaims(self._folder / f"claims{self._runs}") as claims,
        ):
            if receipt is not None:
                assert receipt.key is not None
                receipts.add(receipt.key, receipt)
            planner = EntryPlanner(settings, TemplateFolder.shipped(), receipts, claims, lambda _: 5, in_folder=False)
            return planner.plan(row).record


@pytest.fixture
def planning(tmp_path: Path) -> Planning:
    return Planning(tmp_path)


def receipt(record: Record, days: float, **fields: object) -> Record:
    return replace(record, **{"outcome": Outcome.UPLOADED, **FIELDS, **fields, "at": time.time() - days * DAY})


def test_what_was_done_longer_ago_is_asked_for_again(planning: Planning) -> None:
    record = planning.plan()
    recent = planning.plan(receipt(record, 29))
    assert (recent.outcome, recent.earlier, recent.sha256) == (Outcome.UNCHANGED, None, "ab")
    old = planning.plan(receipt(record, 31))
    assert (old.outcome, old.sha256) == (None, None)
    assert old.earlier == EarlierImage.of(receipt(record, 31))
    assert planning.plan(receipt(record, 31), settings=replace(SETTINGS, recheck=None)).outcome is Outcome.UNCHANGED
    assert planning.plan(receipt(record, 31), settings=replace(SETTINGS, refresh=True)).earlier is None


def test_an_unchanged_answer_counts_from_its_own_time(planning: Planning) -> None:
    asked = planning.plan(receipt(planning.plan(), 31))
    assert asked.earlier is not None
    kept = receipt(asked.earlier.keep(replace(asked, bytes_in=0)), 1, outcome=Outcome.UNCHANGED, bytes_in=0)
    assert record_json.validate_json(record_json.dump_json(kept)) == kept
    assert planning.plan(kept).outcome is Outcome.UNCHANGED
    again = planning.plan(replace(kept, at=time.time() - 40 * DAY))
    assert again.earlier is not None
    assert again.earlier.validators == {"etag": "x"}
    other_size = replace(ROW, expected={"size": "8"})
    assert planning.plan(kept, replace(ROW, expected={"size": "7"})).outcome is Outcome.UNCHANGED
    assert (planning.plan(kept, other_size).outcome, planning.plan(kept, other_size).earlier) == (None, None)


def test_an_image_stays_when_its_server_failed_at_a_recheck(planning: Planning) -> None:
    asked = planning.plan(receipt(planning.plan(), 31))
    failed = receipt(asked, 1, outcome=Outcome.FAILED, reason=Reason.TIMEOUT, sha256=None, source_sha256=None)
    for settings in (SETTINGS, replace(SETTINGS, recheck=None), replace(SETTINGS, verify=True)):
        assert planning.plan(failed, settings=settings).earlier == asked.earlier
    assert planning.plan(failed, settings=replace(SETTINGS, reject_sources=(SHA,))).earlier is None
    gone = replace(failed, reason=Reason.NOT_FOUND)
    assert planning.plan(gone).outcome is Outcome.FAILED


def test_receipts_without_validators_are_asked_for_plainly(planning: Planning) -> None:
    old = record_json.validate_json(b'{"line": 1, "url": "u", "bytes_in": 9}')
    assert (old.validators, old.earlier) == ({}, None)
    asked = planning.plan(receipt(planning.plan(), 31, validators={}, source_sha256=None))
    assert asked.earlier is not None
    assert asked.earlier.validators == {}


def test_rechecked_images_are_still_known_as_stored(planning: Planning) -> None:
    store = MemoryStore()
    with ReceiptWriter(store, "_relay/birds/receipts/run1", "x") as writer:
        writer.add(receipt(planning.plan(), 1, outcome=Outcome.UNCHANGED))
    assert [record.sha256 for record in stored_images(store, "birds").values()] == ["ab"]
