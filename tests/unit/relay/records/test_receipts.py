"""Receipts: read back unchanged from any number of objects, and merged."""

import itertools
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore

from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Seconds
from imgrelay_dagster.relay.records import receipts
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.receipts import read_receipts, record_json
from imgrelay_dagster.relay.storage import reading
from tests.support.results import merge_all

PREFIX = "_relay/birds/receipts/run1"


def record(line: int, **fields: object) -> Record:
    values = {"outcome": Outcome.UPLOADED, "at": 1000.0 + line, **fields}
    return Record(line, f"http://host/{line}.jpg", key=f"host/{line}.jpg", **values)


def test_an_incomplete_line_is_skipped():
    store = MemoryStore()
    whole = record_json.dump_json(record(1))
    store.put(f"{PREFIX}/x-0.jsonl", whole + b"\n" + whole[:40])
    assert [found.line for found in read_receipts(store, PREFIX)] == [1]


def test_a_receipt_starts_with_the_fields_of_the_results_in_order():
    names = list(json.loads(record_json.dump_json(record(1))))
    assert names[:15] == [
        "line",
        "url",
        "key",
        "outcome",
        "reason",
        "detail",
        "attempts",
        "http_status",
        "bytes_in",
        "bytes_out",
        "width",
        "height",
        "sha256",
        "fingerprint",
        "seconds",
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]))


numbers = st.none() | st.integers(0, 2**53)


@given(
    st.builds(
        Record,
        line=st.integers(1, 10**9),
        url=texts,
        key=st.none() | texts,
        outcome=st.sampled_from(Outcome),
        reason=st.none() | st.sampled_from(Reason),
        detail=st.none() | texts,
        attempts=st.integers(0, 10),
        http_status=numbers,
        bytes_in=numbers,
        bytes_out=numbers,
        width=numbers,
        height=numbers,
        sha256=st.none() | texts,
        fingerprint=st.none() | texts,
        seconds=st.builds(Seconds, *[st.floats(0, 1e6)] * 3),
        template=st.none() | texts,
        at=st.none() | st.floats(0, 1e10),
    )
)
def test_any_record_is_read_back_unchanged(written: Record):
    store = MemoryStore()
    with ReceiptWriter(store, PREFIX, "w") as writer:
        writer.add(written)
    (found,) = read_receipts(store, PREFIX)
    assert replace(found, at=written.at) == written


def test_receipts_are_merged_into_one_object(tmp_path: Path):
    store = MemoryStore()
    for number in range(1, 5):
        with ReceiptWriter(store, PREFIX, f"upload-{number}") as writer:
            writer.add(record(number))
    merge_all(store, PREFIX, tmp_path)
    merge_all(store, PREFIX, tmp_path)
    keys = [meta["path"] for chunk in store.list() for meta in chunk]
    assert keys == [f"{PREFIX}/merged.jsonl"]
    assert len([json.loads(line) for line in bytes(store.get(keys[0]).bytes()).splitlines()]) == 4
    assert sorted(found.line for found in read_receipts(store, PREFIX)) == [1, 2, 3, 4]


def test_receipts_that_are_merged_while_being_read_are_complete(tmp_path: Path):
    """A sensor may write the results of a lost run while the next run reads the receipts."""
    store = MemoryStore()
    for number in range(1, 5):
        with ReceiptWriter(store, PREFIX, f"upload-{number}") as writer:
            writer.add(record(number))
    found = read_receipts(store, PREFIX)
    first = next(found)
    merge_all(store, PREFIX, tmp_path)
    assert {first.line, *(later.line for later in found)} == {1, 2, 3, 4}


def test_receipts_are_read_correctly_at_any_chunk_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Large objects are read in chunks, so that a hundred thousand receipts need little memory."""
    written = [record(line, detail="ü\n" * (line % 7)) for line in range(1, 20)]
    store = LocalStore(tmp_path)
    for name, part in (("a", written[:12]), ("b", written[12:])):
        with ReceiptWriter(store, PREFIX, name) as writer:
            for each in part:
                writer.add(each)
    for size, held in itertools.product((1, 7, 400, 10_000_000), (0, receipts._HELD)):
        monkeypatch.setattr(reading, "CHUNK_SIZE", size)
        monkeypatch.setattr(receipts, "_HELD", held)
        assert _read_in_order(store) == written
    merge_all(store, PREFIX, tmp_path)
    assert _read_in_order(store) == written


def _read_in_order(store: LocalStore) -> list[Record]:
    """The receipts in the order of their lines, with the times that `record` gives them."""
    found = sorted(read_receipts(store, PREFIX), key=lambda found: found.line)
    return [replace(each, at=1000.0 + each.line) for each in found]


def test_receipts_are_in_the_order_of_the_store_whatever_the_clocks_of_their_writers(tmp_path: Path):
    """A run on a host 20 minutes ahead, then one on a host with the right time: the second one's receipt counts."""
    store = LocalStore(tmp_path)
    now = time.time()
    for number, (run, at) in enumerate([("first", now + 1200), ("second", now - 3600), ("third", now)]):
        prefix = f"_relay/birds/receipts/{run}"
        store.put(f"{prefix}/a-0.jsonl", record_json.dump_json(record(1, at=at, fingerprint=run)))
        store.put(f"{prefix}/a-1.jsonl", record_json.dump_json(record(2, at=at + 2, fingerprint=run)))
        for file in (tmp_path / prefix).iterdir():
            os.utime(file, (now - 300 + 100 * number,) * 2)
        if run != "third":
            merge_all(store, prefix, tmp_path)
    with ReceiptIndex(tmp_path / "index.db") as index:
        for found in read_receipts(store, "_relay/birds/receipts"):
            index.add(found.line, found)
            assert found.at is not None
            assert found.at <= now
        assert [index.get(line).fingerprint for line in (1, 2)] == ["third", "third"]


@pytest.mark.parametrize(
    ("received", "written", "read"),
    [
        (1000.0, [998.75, 1000.5], [998.75, 1000.5]),  # a store that tells whole seconds: received before 1001
        (1000.0, [999.0, 1010.0], [990.0, 1001.0]),  # its writer's clock is ahead
        (1000.0, [988.0, 990.0], [998.0, 1000.0]),  # its writer's clock is behind
        (1000.25, [998.75, 1000.5], [998.5, 1000.25]),
    ],
)
def test_receipts_keep_their_times_within_the_second_that_the_store_tells(
    tmp_path: Path, received: float, written: list[float], read: list[float]
):
    store = LocalStore(tmp_path)
    lines = [record_json.dump_json(record(line, at=at)) for line, at in enumerate(written, 1)]
    store.put("run/a-0.jsonl", b"\n".join(lines))
    os.utime(tmp_path / "run/a-0.jsonl", (received, received))
    assert [found.at for found in read_receipts(store, "run")] == read
