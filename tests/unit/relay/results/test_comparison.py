"""A run beside its dataset's previous run: what is new, gone, changed, and failed then and now."""

import json
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from imgrelay_dagster.relay.records.layout import RESULTS_FILE, results_key
from imgrelay_dagster.relay.records.summary import Summary, write_summary
from imgrelay_dagster.relay.results.comparison import compare_with_previous, previous_run


def line(key: str | None, outcome: str = "uploaded", sha256: str = "aa", url: str = "http://h/x") -> bytes:
    return json.dumps({"key": key, "url": url, "outcome": outcome, "sha256": sha256}).encode() + b"\n"


def past(store: MemoryStore, run_id: str, lines: list[bytes], *, whole_list: bool = True, status: str = "success"):
    """A run that has ended."""
    store.put(results_key("birds", run_id), b"".join(lines))
    counts = dict.fromkeys(("entries", "uploaded", "unchanged", "failed", "not_attempted", "bytes_in", "bytes_out"), 0)
    write_summary(store, Summary(run_id, "birds", status, **counts, reasons={}, seconds=1.0, images_per_second=0.0,
                                 whole_list=whole_list))  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / RESULTS_FILE


THEN = [
    line("same.jpg"),
    line("changed.jpg"),
    line("broke.jpg", "unchanged"),
    line("mended.jpg", "failed"),
    line("still.jpg", "failed"),
    line("open.jpg", "not_attempted"),
    line("gone-1.jpg"),
    line("gone-2.jpg", "failed"),
    line(None, "failed", url=""),
]
NOW = [
    line("same.png", "unchanged"),
    line("new.jpg"),
    line("new.jpg"),  # a line that repeats another
    line("changed.jpg", sha256="bb"),
    line("broke.jpg", "failed"),
    line("mended.jpg"),
    line("still.jpg", "failed"),
    line("open.jpg"),
    line(None, "failed", url=""),
]


def test_every_entry_is_counted_once_whatever_its_extension(results: Path):
    store = MemoryStore()
    past(store, "run1", THEN)
    results.write_bytes(b"".join(NOW))
    compared = compare_with_previous(store, "birds", "run2", results, whole_list=True)
    assert compared is not None
    assert compared.counts() == {
        "new": 1, "gone": 2, "changed": 1, "failed_again": 2, "newly_failed": 1, "recovered": 1,
    }  # fmt: skip
    assert compared.examples["gone"] == ["gone-1", "gone-2"]
    assert compared.sentence() == (
        "compared with run run1: 1 new, 2 gone from the list, 1 changed, 2 failed then and now, "
        "1 stored then and failed now, 1 failed then and stored now"
    )


def test_a_part_of_the_list_knows_of_nothing_that_is_gone(results: Path):
    store = MemoryStore()
    past(store, "run1", THEN)
    results.write_bytes(line("still.jpg"))
    compared = compare_with_previous(store, "birds", "run2", results, whole_list=False)
    assert compared is not None
    assert (compared.gone, compared.recovered) == (None, 1)


def test_the_previous_run_is_one_of_the_whole_list(results: Path):
    store = MemoryStore()
    results.write_bytes(b"")
    assert compare_with_previous(store, "birds", "run1", results, whole_list=True) is None
    past(store, "run1", THEN)
    past(store, "redrive", [], whole_list=False)
    past(store, "coordinator", [], status="partial")
    assert previous_run(store, "birds", "run2") == "run1"
    assert previous_run(store, "birds", "run1") is None


def test_an_interrupt_ends_the_comparison(results: Path):
    store = MemoryStore()
    past(store, "run1", THEN)
    results.write_bytes(b"".join(NOW))

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_with_previous(store, "birds", "run2", results, whole_list=True, tick=interrupt)
