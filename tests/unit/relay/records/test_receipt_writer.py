"""The receipt writer: receipts are stored while a step works, however the step ends."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.records.receipt_writer import FLUSH_INTERVAL, ReceiptWriter
from imgrelay_dagster.relay.records.receipts import read_receipts, record_json
from tests.support.command import until

PREFIX = "_relay/birds/receipts/run1"


def record(line: int, **fields: object) -> Record:
    values = {"outcome": Outcome.UPLOADED, "at": 1000.0 + line, **fields}
    return Record(line, f"http://host/{line}.jpg", key=f"host/{line}.jpg", **values)


def test_receipts_are_written_when_the_writer_closes():
    store = MemoryStore()
    with ReceiptWriter(store, PREFIX, "upload-a") as writer:
        for line in range(1, 4):
            writer.add(record(line))
    assert sorted(found.line for found in read_receipts(store, PREFIX)) == [1, 2, 3]


def test_receipts_are_written_when_the_step_is_interrupted():
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt), ReceiptWriter(store, PREFIX, "upload-a") as writer:
        writer.add(record(1))
        raise KeyboardInterrupt
    assert [found.line for found in read_receipts(store, PREFIX)] == [1]


def test_a_second_interrupt_does_not_end_the_last_write():
    class InterruptingStore:
        """A store during whose writes a second Ctrl-C arrives."""

        def __init__(self) -> None:
            self.inner = MemoryStore()

        def put(self, key: str, data: bytes, **options: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            self.inner.put(key, data)

    store = InterruptingStore()
    with pytest.raises(KeyboardInterrupt), ReceiptWriter(store, PREFIX, "upload-a") as writer:  # type: ignore[arg-type]
        writer.add(record(1))
        raise KeyboardInterrupt
    assert [found.line for found in read_receipts(store.inner, PREFIX)] == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_receipts_are_written_while_the_step_works():
    now = [0.0]
    store = MemoryStore()
    writer = ReceiptWriter(store, PREFIX, "upload-a", clock=lambda: now[0])
    writer.add(record(1))
    writer.flush_if_due()
    assert list(read_receipts(store, PREFIX)) == []
    now[0] += FLUSH_INTERVAL
    writer.flush_if_due()
    until(lambda: [found.line for found in read_receipts(store, PREFIX)] == [1], 10, "the receipt is written")


def test_a_failed_write_is_repeated(tmp_path: Path):
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


class HangingStore:
    """A store whose writes hang until `resumes` is set."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.resumes = threading.Event()

    def put(self, key: str, data: bytes, **options: object) -> None:
        self.resumes.wait(60)
        self.inner.put(key, data)


def test_a_hanging_store_delays_neither_the_step_nor_its_end():
    now, store = [0.0], HangingStore()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ReceiptWriter(store, PREFIX, "w", clock=lambda: now[0]) as writer:  # type: ignore[arg-type]
        for line in range(1, 4):
            writer.add(record(line))
            now[0] += FLUSH_INTERVAL
            writer.flush_if_due()
        raise KeyboardInterrupt
    assert time.monotonic() - started < 30
    store.resumes.set()
    until(lambda: {found.line for found in read_receipts(store.inner, PREFIX)} == {1, 2, 3}, 10, "all are written")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_moment_loses_no_receipt():
    """The block ends with a flush, as that of a stage does: an interrupt on its way out leaves no code to run."""
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
                        writer.flush()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
            except RuntimeError:  # inside a Condition, CPython turns the interrupt into this error
                interrupted += 1
            assert {found.line for found in read_receipts(store, PREFIX)} >= set(added)
    finally:
        signal.signal(signal.SIGALRM, saved)
    assert interrupted > 50


def test_a_flush_waits_for_a_slow_store_and_can_be_canceled():
    store, ticks = HangingStore(), []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            raise KeyboardInterrupt

    writer = ReceiptWriter(store, PREFIX, "w")  # type: ignore[arg-type]
    writer.add(record(1))
    with pytest.raises(KeyboardInterrupt):
        writer.flush(tick=tick)
    threading.Timer(1.0, store.resumes.set).start()
    writer.flush()
    assert {found.line for found in read_receipts(store.inner, PREFIX)} == {1}


def test_each_writer_has_its_own_objects():
    store = MemoryStore()
    for name in ("upload-a", "upload-b", "download-a"):
        with ReceiptWriter(store, PREFIX, name) as writer:
            writer.add(record(1))
    assert len(list(read_receipts(store, PREFIX))) == 3
