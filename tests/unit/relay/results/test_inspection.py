"""The inspection of a sample of the stored images."""

from pathlib import Path

import pytest
from obstore.store import LocalStore

from imgrelay_dagster.relay.results.inspection import SAMPLE, inspect_destination
from tests.support.results import destination_with_results


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return destination_with_results(tmp_path)


def test_a_destination_that_matches_its_results_has_no_mismatches(store: LocalStore):
    inspection = inspect_destination(store, "birds", "run1")
    assert (inspection.checked, inspection.mismatches, len(inspection.images)) == (SAMPLE, [], SAMPLE)


def test_missing_and_changed_images_are_named(store: LocalStore, tmp_path: Path):
    (tmp_path / "h" / "1.jpg").unlink()
    (tmp_path / "h" / "2.jpg").write_bytes(b"short")
    changed = bytearray((tmp_path / "h" / "3.jpg").read_bytes())
    changed[-10] ^= 1
    (tmp_path / "h" / "3.jpg").write_bytes(changed)
    inspection = inspect_destination(store, "birds", "run1")
    assert inspection.mismatches[0] == "h/1.jpg: gone"
    assert inspection.mismatches[1].startswith("h/2.jpg: 5 bytes, ")
    assert inspection.mismatches[2] == "h/3.jpg: not the bytes that were stored"
    assert (len(inspection.mismatches), len(inspection.images)) == (3, SAMPLE - 3)


def test_the_inspection_stops_at_its_time_limit(store: LocalStore):
    ticks = iter(range(0, 1000, 6))
    assert inspect_destination(store, "birds", "run1", clock=lambda: float(next(ticks))).checked == 2
