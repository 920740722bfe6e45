"""The index of receipts on disk."""

from dataclasses import replace
from pathlib import Path

from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex


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


def test_the_first_claim_of_a_key_wins(tmp_path: Path):
    first, second = record(1), record(2)
    with ReceiptIndex(tmp_path / "index.db") as index:
        assert index.get("k") is None
        assert index.claim("k", first) is None
        assert index.claim("other", second) is None
        assert index.claim("k", second) == first
        assert index.get("k") == first
