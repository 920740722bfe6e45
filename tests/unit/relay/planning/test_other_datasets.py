"""Two datasets in one destination: an image of one is never replaced by the other without a word."""

from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from imgrelay_dagster.relay.imaging.compose import Output
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.key_index import ENTRY_BYTES, OtherDatasets, remove_keys
from imgrelay_dagster.relay.records.layout import key_index_key, run_receipts_prefix
from imgrelay_dagster.relay.records.ledger import read_ledger
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings

CAT = ManifestRow(1, "http://h/cat.jpg", key="pets/cat.jpg")
DOG = ManifestRow(2, "http://h/dog.jpg", key="pets/dog.jpg")


class Runs:
    """Plans runs and writes their results, in one destination."""

    def __init__(self, scratch: Path) -> None:
        self.store = MemoryStore()
        self._scratch = scratch
        self._count = 0

    def run(self, settings: Settings, *rows: ManifestRow) -> list[Record]:
        """A run that stores whatever is left; returns its records as planned."""
        self._count += 1
        run_id = f"run{self._count}"
        folder = self._scratch / run_id
        folder.mkdir()
        templates = TemplateFolder.shipped()
        plan = plan_run(rows, settings, run_id=run_id, store=self.store, templates=templates, scratch=folder)
        ledger = read_ledger(self.store, settings.dataset, run_id)
        assert ledger is not None
        with ledger:
            planned = [line.record for line in ledger]
        with ReceiptWriter(self.store, run_receipts_prefix(settings.dataset, run_id), "upload") as receipts:
            for record in (record for task in plan.tasks() for record in task.records):
                receipts.add(replace(record, outcome=Outcome.UPLOADED, at=float(self._count), bytes_out=1))
        write_results(self.store, settings.dataset, run_id=run_id, seconds=1.0)
        return planned


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


BIRDS = Settings("birds", "memory")
SMALL = Settings("small", "memory", output=Output(quality=20))


def test_another_image_under_the_same_key_is_told_and_not_replaced(runs: Runs):
    runs.run(BIRDS, CAT)
    cat, dog = runs.run(SMALL, CAT, DOG)
    assert (cat.outcome, cat.reason) == (Outcome.FAILED, Reason.KEY_CONFLICT)
    assert "dataset 'birds' stores another image under the key 'pets/cat.jpg'" in (cat.detail or "")
    assert dog.outcome is None
    (again,) = runs.run(BIRDS, CAT)
    assert again.outcome is Outcome.UNCHANGED, "the first dataset never notices"


def test_the_same_image_may_belong_to_several_datasets(runs: Runs):
    runs.run(BIRDS, CAT)
    (cat,) = runs.run(replace(BIRDS, dataset="copies"), CAT)
    assert cat.outcome is None


def test_a_run_may_replace_the_images_of_others(runs: Runs):
    runs.run(BIRDS, CAT)
    (cat,) = runs.run(replace(SMALL, replace_others=True), CAT)
    assert cat.outcome is None
    (told,) = runs.run(BIRDS, CAT)
    assert told.reason is Reason.KEY_CONFLICT, "not unchanged, because the other dataset replaced it"


def test_days_of_one_daily_list_replace_each_other(runs: Runs):
    runs.run(replace(BIRDS, dataset="daily-2026-11-28"), CAT)
    (cat,) = runs.run(replace(SMALL, dataset="daily-2026-11-29"), CAT)
    assert cat.outcome is None


def test_a_deleted_image_is_free_for_others(runs: Runs):
    runs.run(BIRDS, CAT, DOG)
    assert len(runs.store.get(key_index_key("birds")).bytes()) == 2 * ENTRY_BYTES
    remove_keys(runs.store, "birds", ["pets/cat.jpg"])
    cat, dog = runs.run(SMALL, CAT, DOG)
    assert cat.outcome is None
    assert dog.reason is Reason.KEY_CONFLICT


def test_indexes_that_are_too_large_together_are_left_out(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from imgrelay_dagster.relay.records import key_index

    runs.run(BIRDS, CAT)
    runs.run(replace(BIRDS, dataset="cats"), CAT, DOG)
    monkeypatch.setattr(key_index, "MOST_BYTES", ENTRY_BYTES)
    with OtherDatasets(tmp_path / "others.db") as others:
        assert others.load(runs.store, "small") == 1
        assert others.owner("pets/cat.jpg", "ff" * 32) == "birds"
        assert others.owner("pets/dog.jpg", "ff" * 32) is None


@pytest.mark.parametrize(
    ("own", "other", "related"),
    [
        ("daily-2026-11-28", "daily-2026-11-29", True),
        ("daily-2026-11-28", "hourly-2026-11-29-14", True),  # after a change of the partitions
        ("hourly-2026-10-25-02-0100", "weekly-2026-10-19", True),
        ("thumbnails-daily-2026-11-28", "thumbnails-daily-2026-11-29", True),
        ("thumbnails-daily-2026-11-28", "daily-2026-11-28", False),  # another daily asset
        ("daily-2026-11-28", "daily-summary", False),
        ("birds", "birds-2", False),
    ],
)
def test_periods_of_one_daily_asset_may_replace_each_others_images(own: str, other: str, related: bool):
    assert Settings(dataset=own, destination="memory").is_related_dataset(other) is related
