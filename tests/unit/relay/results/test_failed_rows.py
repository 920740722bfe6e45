"""The first failed entries of a run."""

from pathlib import Path

from obstore.store import LocalStore

from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.records.layout import failed_table_key
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.results.csv_table import write_failed_table
from imgrelay_dagster.relay.results.failed_rows import MAX_CELL, MOST_BYTES, MOST_CARRIED, MOST_ROWS, first_failed


def rows_of(folder: Path, carried: dict[str, str], count: int) -> list[dict[str, str]]:
    failed = {"outcome": Outcome.FAILED, "reason": Reason.TIMEOUT, "carried": carried}
    records = [Record(line, "http://h/a?token=x", key=f"{line}.jpg", **failed) for line in range(1, count + 1)]
    path = folder / failed_table_key("birds", "run1")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_failed_table(path, map(record_json.dump_json, records))
    return first_failed(LocalStore(folder), "birds", "run1")


def test_failed_entries_are_shown_with_their_carried_columns(tmp_path: Path) -> None:
    assert rows_of(tmp_path, {"sku": "1001", "Titel": 'Stuhl; "rot"'}, 2) == [
        {"line": "1", "key": "1.jpg", "sku": "1001", "Titel": 'Stuhl; "rot"', "reason": "timeout"},
        {"line": "2", "key": "2.jpg", "sku": "1001", "Titel": 'Stuhl; "rot"', "reason": "timeout"},
    ]
    assert rows_of(tmp_path, {}, 2) == []
    assert rows_of(tmp_path, {"sku": "1"}, 0) == []
    assert first_failed(LocalStore(tmp_path), "birds", "other") == []


def test_rows_and_cells_are_limited_and_printable(tmp_path: Path) -> None:
    text = "a\nb\x1b[0m" + "ü" * 1500
    found = rows_of(tmp_path, {f"column {number}": text for number in range(20)}, 100)
    assert 0 < len(found) <= MOST_ROWS
    assert (tmp_path / failed_table_key("birds", "run1")).stat().st_size > MOST_BYTES
    assert all(len(row) == MOST_CARRIED + 3 for row in found)
    value = found[0]["column 0"]
    assert (len(value), value.isprintable(), value[:3]) == (MAX_CELL, True, "a\ufffdb")
    assert len(rows_of(tmp_path, {"sku": "1"}, 100)) == MOST_ROWS
