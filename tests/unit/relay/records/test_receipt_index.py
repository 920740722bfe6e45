"""The index of receipts on disk."""

from dataclasses import replace
from pathlib import Path

from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.records.receipt_index import BATCH, ReceiptIndex


def record(line: int, **fields: object) -> Record:
    values = {"outcome": Outcome.UPLOADED, "at": 1000.0 + line, **fields}
    return Record(line, f"http://host/{line}.jpg", key=f"host/{line}.jpg", **values)


def test_the_index_keeps_the_newest_receipt(tmp_path: Path):
    first = record(1, at=10.0)
    with ReceiptIndex(tmp_path / "index.db") as index:
        index.add("k", first)
        index.add("k", replace(first, at=30.0, outcome=Outcome.FAILED, reason=Reason.TIMEOUT))
        index.add("k", replace(first, at=20.0))
        found = index.get("k")
        assert found is not None
        assert found.reason is Reason.TIMEOUT
        assert index.get("other") is None
    assert not (tmp_path / "index.db").exists()


def test_more_receipts_than_are_written_at_once(tmp_path: Path):
    count = 2 * BATCH + 7
    with ReceiptIndex(tmp_path / "index.db") as index:
        for line in range(1, count + 1):
            index.add(line, record(line))
        assert [index.get(line) for line in (1, BATCH, BATCH + 1, count)] == [
            record(1), record(BATCH), record(BATCH + 1), record(count),
        ]  # fmt: skip
        assert index.get(count + 1) is None


def test_the_size_of_a_stored_object(tmp_path: Path):
    with ReceiptIndex(tmp_path / "index.db") as index:
        index.add("host/1.jpg", record(1))
        index.mark_stored("host/1.jpg", 70)
        index.mark_stored("host/2.jpg", 80)
        assert index.stored_size("host/1.jpg") == 70
        assert index.stored_size("host/2.jpg") is None
