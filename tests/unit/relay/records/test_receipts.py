"""Receipts: written by many, read as one, whole or not at all."""

import json
import os
import random
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Seconds
from imgrelay_dagster.relay.records import receipts
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex
from imgrelay_dagster.relay.records.receipt_writer import FLUSH_INTERVAL, ReceiptWriter
from imgrelay_dagster.relay.records.receipts import merge_receipts, read_receipts, record_json
from tests.support.running import until

PREFIX = "_relay/birds/receipts/run1"


def record(line: int, **fields: object) -> Record:
    values = {"outcome": Outcome.UPLOADED, "at": 1000.0 + line, **fields}
    return Record(line, f"http://host/{line}.jpg", key=f"host/{line}.jpg", **values)


def test_receipts_are_put_when_the_writer_closes():
    store = MemoryStore()
    with ReceiptWriter(store, PREFIX, "upload-a") as writer:
        for line in range(1, 4):
            writer.add(record(line))
    assert sorted(found.line for found in read_receipts(store, PREFIX)) == [1, 2, 3]


def test_receipts_are_put_when_the_step_is_interrupted():
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt), ReceiptWriter(store, PREFIX, "upload-a") as writer:
        writer.add(record(1))
        raise KeyboardInterrupt
    assert [found.line for found in read_receipts(store, PREFIX)] == [1]


def test_a_second_interrupt_does_not_cut_off_the_closing_flush():
    class Interrupting:
        """A store in whose put a second Ctrl-C arrives."""

        def __init__(self) -> None:
            self.inner = MemoryStore()

        def put(self, key: str, data: bytes, **options: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            self.inner.put(key, data)

    store = Interrupting()
    with pytest.raises(KeyboardInterrupt), ReceiptWriter(store, PREFIX, "upload-a") as writer:  # type: ignore[arg-type]
        writer.add(record(1))
        raise KeyboardInterrupt
    assert [found.line for found in read_receipts(store.inner, PREFIX)] == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_receipts_are_put_while_the_step_goes_on():
    now = [0.0]
    store = MemoryStore()
    writer = ReceiptWriter(store, PREFIX, "upload-a", clock=lambda: now[0])
    writer.add(record(1))
    writer.flush_if_due()
    assert list(read_receipts(store, PREFIX)) == []
    now[0] += FLUSH_INTERVAL
    writer.flush_if_due()
    until(lambda: [found.line for found in read_receipts(store, PREFIX)] == [1], 10, "the receipt is put")


def test_a_store_that_is_away_is_asked_again(tmp_path: Path):
    now = [0.0]
    store = LocalStore(tmp_path / "store", mkdir=True)
    (tmp_path / "store" / "_relay").write_text("a file where a folder should be")
    writer = ReceiptWriter(store, PREFIX, "upload-a", clock=lambda: now[0])
    writer.add(record(1))
    now[0] += FLUSH_INTERVAL
    writer.flush_if_due()
    with pytest.raises(RelayError, match="receipts cannot be written"):
        writer.flush()
    writer.flush_if_due()
    (tmp_path / "store" / "_relay").unlink()
    writer.flush()
    assert [found.line for found in read_receipts(store, PREFIX)] == [1]


class Hanging:
    """A store that takes nothing until it is told to go on."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.goes_on = threading.Event()

    def put(self, key: str, data: bytes, **options: object) -> None:
        self.goes_on.wait(60)
        self.inner.put(key, data)


def test_a_store_that_hangs_holds_up_neither_the_step_nor_its_end():
    now, store = [0.0], Hanging()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ReceiptWriter(store, PREFIX, "w", clock=lambda: now[0]) as writer:  # type: ignore[arg-type]
        for line in range(1, 4):
            writer.add(record(line))
            now[0] += FLUSH_INTERVAL
            writer.flush_if_due()
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30
    store.goes_on.set()
    until(lambda: {found.line for found in read_receipts(store.inner, PREFIX)} == {1, 2, 3}, 10, "all are put")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_moment_loses_no_receipt():
    chance, interrupted = random.Random(9), 0

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    saved = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(200):
            store, now, added = MemoryStore(), [0.0], []
            lines = [record_json.dump_json(record(line)) for line in range(1, 300)]
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0005, 0.004))
                    with ReceiptWriter(store, PREFIX, "w", clock=lambda now=now: now[0]) as writer:
                        for line, data in enumerate(lines, 1):
                            writer.add(record(line), data)
                            added.append(line)
                            now[0] += FLUSH_INTERVAL / 3
                            writer.flush_if_due()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
            except RuntimeError:  # inside a Condition, CPython makes that of it
                interrupted += 1
            assert {found.line for found in read_receipts(store, PREFIX)} >= set(added)
    finally:
        signal.signal(signal.SIGALRM, saved)
    assert interrupted > 50


def test_a_store_that_is_slow_is_waited_for_and_a_cancel_meanwhile_is_heard():
    store, ticks = Hanging(), []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            raise KeyboardInterrupt

    writer = ReceiptWriter(store, PREFIX, "w")  # type: ignore[arg-type]
    writer.add(record(1))
    with pytest.raises(KeyboardInterrupt):
        writer.flush(tick=tick)
    threading.Timer(1.0, store.goes_on.set).start()
    writer.flush()
    assert {found.line for found in read_receipts(store.inner, PREFIX)} == {1}


def test_writers_never_share_an_object():
    store = MemoryStore()
    for name in ("upload-a", "upload-b", "download-a"):
        with ReceiptWriter(store, PREFIX, name) as writer:
            writer.add(record(1))
    assert len(list(read_receipts(store, PREFIX))) == 3


def test_a_line_cut_off_by_a_lost_machine_is_passed_over():
    store = MemoryStore()
    whole = record_json.dump_json(record(1))
    store.put(f"{PREFIX}/x-0.jsonl", whole + b"\n" + whole[:40])
    assert [found.line for found in read_receipts(store, PREFIX)] == [1]


def test_a_receipt_starts_with_the_fields_of_the_results_in_their_order():
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


def test_the_index_keeps_the_latest_receipt(tmp_path: Path):
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


def test_a_key_belongs_to_who_claims_it_first(tmp_path: Path):
    first, second = record(1), record(2)
    with ReceiptIndex(tmp_path / "index.db") as index:
        assert index.get("k") is None
        assert index.claim("k", first) is None
        assert index.claim("other", second) is None
        assert index.claim("k", second) == first
        assert index.get("k") == first


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
def test_any_record_survives_the_store(written: Record):
    store = MemoryStore()
    with ReceiptWriter(store, PREFIX, "w") as writer:
        writer.add(written)
    assert list(read_receipts(store, PREFIX)) == [written]


def test_a_finished_runs_receipts_lie_in_one_object(tmp_path: Path):
    store = MemoryStore()
    for number in range(1, 5):
        with ReceiptWriter(store, PREFIX, f"upload-{number}") as writer:
            writer.add(record(number))
    merge_receipts(store, PREFIX, tmp_path)
    merge_receipts(store, PREFIX, tmp_path)
    keys = [meta["path"] for chunk in store.list() for meta in chunk]
    assert keys == [f"{PREFIX}/merged.jsonl"]
    assert len([json.loads(line) for line in bytes(store.get(keys[0]).bytes()).splitlines()]) == 4
    assert sorted(found.line for found in read_receipts(store, PREFIX)) == [1, 2, 3, 4]


def test_receipts_that_are_merged_while_they_are_read_are_read_all_the_same(tmp_path: Path):
    """The sensor may complete a lost run while the next one asks what is done."""
    store = MemoryStore()
    for number in range(1, 5):
        with ReceiptWriter(store, PREFIX, f"upload-{number}") as writer:
            writer.add(record(number))
    found = read_receipts(store, PREFIX)
    first = next(found)
    merge_receipts(store, PREFIX, tmp_path)
    assert {first.line, *(later.line for later in found)} == {1, 2, 3, 4}


def test_receipts_are_read_whole_wherever_they_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Large objects are read in pieces, so that a hundred thousand receipts need little memory."""
    written = [record(line, detail="ü\n" * (line % 7)) for line in range(1, 60)]
    store = LocalStore(tmp_path)
    for name, part in (("a", written[:40]), ("b", written[40:])):
        with ReceiptWriter(store, PREFIX, name) as writer:
            for each in part:
                writer.add(each)
    for size in (1, 7, 400, 10_000_000):
        monkeypatch.setattr(receipts, "PIECE", size)
        assert sorted(read_receipts(store, PREFIX), key=lambda found: found.line) == written
    merge_receipts(store, PREFIX, tmp_path)
    assert sorted(read_receipts(store, PREFIX), key=lambda found: found.line) == written
