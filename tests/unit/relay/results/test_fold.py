"""Results are folded from ledger and receipts: every line once, in order, however the run ended."""

import io
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from obstore.store import LocalStore, MemoryStore

from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import BadRow, ManifestRow, Row
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Seconds
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.summary import Summary, read_summary
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.reading import CHUNK_SIZE

SETTINGS = Settings(dataset="birds", destination="memory", tolerated_failure_percentage=25)
UPLOADED = {
    "outcome": Outcome.UPLOADED,
    "attempts": 1,
    "http_status": 200,
    "bytes_in": 10,
    "bytes_out": 7,
    "width": 4,
    "height": 3,
    "sha256": "ab",
    "seconds": Seconds(1, 2, 3),
    "at": 5.0,
}
FAILED = {"outcome": Outcome.FAILED, "reason": Reason.TIMEOUT, "detail": "h does not answer", "attempts": 3, "at": 5.0}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def run(store: MemoryStore, scratch: Path, rows: list[Row], ends: dict[int, dict[str, object]], **options) -> Summary:
    """Plan the rows, write a receipt for each line in `ends`, fold."""
    plan = plan_run(
        rows,
        SETTINGS,
        run_id="run1",
        store=store,
        templates=TemplateFolder.shipped(),
        scratch=scratch,
    )
    with ReceiptWriter(store, run_receipts_prefix("birds", "run1"), "upload-x") as writer:
        for record in (record for task in plan.tasks() for record in task.records):
            if record.line in ends:
                writer.add(replace(record, **ends[record.line]))
    summary = write_results(store, "birds", run_id="run1", seconds=2.0, **options)
    assert summary is not None
    return summary


def lines_of(store: MemoryStore, name: str) -> list[dict[str, object]]:
    data = bytes(store.get(f"_relay/birds/runs/run1/{name}").bytes())
    return [json.loads(line) for line in data.splitlines()]


def test_each_line_has_its_result_in_manifest_order(store: MemoryStore, tmp_path: Path):
    rows: list[Row] = [ManifestRow(line, f"http://h/{line}.jpg") for line in (1, 2, 4, 5)]
    rows += [BadRow(7, "{", "broken JSON"), ManifestRow(9, "http://h/1.jpg")]
    summary = run(store, tmp_path, rows, {1: UPLOADED, 2: FAILED, 4: UPLOADED})
    results = lines_of(store, "results.jsonl")
    assert [(row["line"], row["outcome"]) for row in results] == [
        (1, "uploaded"),
        (2, "failed"),
        (4, "uploaded"),
        (5, "not_attempted"),
        (7, "failed"),
        (9, "uploaded"),
    ]
    assert (summary.entries, summary.uploaded, summary.failed, summary.not_attempted) == (6, 3, 2, 1)
    assert summary.reasons == {"timeout": 1, "invalid_entry": 1}


def test_results_have_the_promised_fields_in_order(store: MemoryStore, tmp_path: Path):
    run(store, tmp_path, [ManifestRow(1, "http://h/1.jpg")], {1: UPLOADED})
    (row,) = lines_of(store, "results.jsonl")
    assert list(row) == [
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
        "source_sha256",
        "part",
        "given_url",
        "carried",
        "served_url",
        "frames",
        "quality",
    ]
    assert row["seconds"] == {"download": 1, "compose": 2, "upload": 3}
    assert (row["bytes_out"], row["width"], row["height"], row["sha256"]) == (7, 4, 3, "ab")


def test_a_repeated_line_has_no_attempts_and_no_bytes(store: MemoryStore, tmp_path: Path):
    rows: list[Row] = [ManifestRow(line, "http://h/1.jpg") for line in (1, 2, 3)]
    summary = run(store, tmp_path, rows, {1: UPLOADED})
    results = lines_of(store, "results.jsonl")
    assert [row["attempts"] for row in results] == [1, 0, 0]
    assert (summary.uploaded, summary.bytes_in, summary.bytes_out) == (3, 10, 7)


def test_the_summary_has_the_promised_fields_in_order(store: MemoryStore, tmp_path: Path):
    written = run(store, tmp_path, [ManifestRow(1, "http://h/1.jpg")], {1: UPLOADED})
    summary = json.loads(bytes(store.get("_relay/birds/runs/run1/summary.json").bytes()))
    assert list(summary) == [
        "run_id",
        "dataset",
        "status",
        "entries",
        "uploaded",
        "unchanged",
        "failed",
        "not_attempted",
        "reasons",
        "bytes_in",
        "bytes_out",
        "seconds",
        "images_per_second",
        "first_image_seconds",
        "largest_gap_seconds",
        "not_asked",
        "started_at",
        "ended_at",
        "stage_seconds",
    ]
    assert (summary["status"], summary["images_per_second"]) == ("success", 0.5)
    assert read_summary(store, "birds", "run1") == written
    assert read_summary(store, "birds", "run2") is None


@pytest.mark.parametrize(("failing", "status"), [(1, "success"), (2, "failure")])
def test_the_run_fails_when_more_than_the_tolerated_share_failed(
    store: MemoryStore, tmp_path: Path, failing: int, status: str
):
    rows: list[Row] = [ManifestRow(line, f"http://h/{line}") for line in range(1, 5)]
    ends = {line: FAILED if line <= failing else UPLOADED for line in range(1, 5)}
    assert run(store, tmp_path, rows, ends).status == status


def test_exactly_the_tolerated_share_may_fail(store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """57 of 10,000 is 0.57 %. In binary floats, 10,000 * 0.57 / 100 is a little less than 57."""
    monkeypatch.setattr(f"{__name__}.SETTINGS", replace(SETTINGS, tolerated_failure_percentage=0.57))
    rows: list[Row] = [BadRow(line, "", "empty") for line in range(1, 58)]
    rows += [ManifestRow(58, "http://h/58.jpg")] + [ManifestRow(line, "http://h/58.jpg") for line in range(59, 10_001)]
    assert run(store, tmp_path, rows, {58: UPLOADED}).status == "success"


def test_a_run_with_entries_not_attempted_is_a_failure(store: MemoryStore, tmp_path: Path):
    assert run(store, tmp_path, [ManifestRow(1, "http://h/1")], {}).status == "failure"


def test_an_empty_manifest_is_a_success(store: MemoryStore, tmp_path: Path):
    summary = run(store, tmp_path, [], {})
    assert (summary.status, summary.entries, lines_of(store, "results.jsonl")) == ("success", 0, [])


def test_failed_jsonl_keeps_keys_and_templates_of_the_manifest(store: MemoryStore, tmp_path: Path):
    rows: list[Row] = [
        ManifestRow(1, "http://h/1.jpg"),
        ManifestRow(2, "http://h/2.jpg", key="own/2.jpg", template="badge.png"),
        ManifestRow(3, "http://h/3.jpg"),
    ]
    run(store, tmp_path, rows, {1: FAILED, 2: FAILED, 3: UPLOADED})
    reason = {"reason": "timeout", "detail": "h does not answer"}
    assert lines_of(store, "failed.jsonl") == [
        {"url": "http://h/1.jpg", **reason},
        {"url": "http://h/2.jpg", "key": "own/2.jpg", "template": "badge.png", **reason},
    ]


def test_a_run_that_ended_early_has_results_from_its_receipts(store: MemoryStore, tmp_path: Path):
    rows: list[Row] = [ManifestRow(line, f"http://h/{line}") for line in range(1, 11)]
    summary = run(store, tmp_path, rows, {1: UPLOADED, 2: FAILED}, status="canceled")
    assert (summary.status, summary.uploaded, summary.failed, summary.not_attempted) == ("canceled", 1, 1, 8)


def test_the_ledger_is_deleted_after_the_results_are_written(store: MemoryStore, tmp_path: Path):
    run(store, tmp_path, [ManifestRow(1, "http://h/1.jpg")], {1: UPLOADED})
    again = write_results(store, "birds", run_id="run1", seconds=9.0)
    assert again == read_summary(store, "birds", "run1")
    assert write_results(store, "birds", run_id="run2", seconds=9.0) is None
    keys = [meta["path"] for chunk in store.list() for meta in chunk]
    assert not [key for key in keys if "ledger" in key]


@pytest.mark.memory
def test_folding_ten_thousand_lines_needs_little_memory(tmp_path: Path):
    """Two pieces of an object that is read, and a group of lines; not the 2.5 MB of results with all their objects."""
    fold_peak(tmp_path / "first", 100)  # what the first use of a module keeps is not measured
    assert fold_peak(tmp_path / "second", 10_000) < 2 * CHUNK_SIZE + 1_000_000


def fold_peak(folder: Path, count: int) -> int:
    """The most bytes that Python holds at once while it folds a run of `count` lines."""
    store = LocalStore(folder / "out", mkdir=True)  # a memory store would return an object as a single piece
    (folder / "scratch").mkdir()
    rows = (ManifestRow(line, f"http://host/{line}.jpg") for line in range(1, count + 1))
    plan = plan_run(
        rows, SETTINGS, run_id="run1", store=store, templates=TemplateFolder.shipped(), scratch=folder / "scratch"
    )
    with ReceiptWriter(store, run_receipts_prefix("birds", "run1"), "upload-x") as writer:
        for task in plan.tasks():
            for record in task.records:
                writer.add(replace(record, **UPLOADED))
            writer.flush()
    tracemalloc.start()
    try:
        summary = write_results(store, "birds", run_id="run1", seconds=2.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert summary is not None
    assert summary.uploaded == count
    assert (folder / "out/_relay/birds/runs/run1/results.jsonl").stat().st_size > 250 * count
    return peak


def test_the_table_of_results_has_the_lines_and_carried_columns(store: MemoryStore, tmp_path: Path):
    rows: list[Row] = [
        ManifestRow(1, "http://h/1.jpg", carried={"sku": "1001", "title": "Stuhl"}),
        BadRow(2, "x", "broken", {"sku": "1002"}),
        ManifestRow(3, "http://h/3.jpg"),
    ]
    run(store, tmp_path, rows, {1: UPLOADED, 3: FAILED})
    data = bytes(store.get("_relay/birds/runs/run1/results.parquet").bytes())
    table = pq.read_table(io.BytesIO(data)).to_pylist()
    lines = lines_of(store, "results.jsonl")
    assert [line["carried"] for line in lines] == [{"sku": "1001", "title": "Stuhl"}, {"sku": "1002"}, {}]
    assert table[0]["carried"] == {"sku": "1001", "title": "Stuhl"}
    assert table[1]["carried"] == {"sku": "1002", "title": None}
    for row, line in zip(table, lines, strict=True):
        assert list(row) == list(line)
        assert {name: row[name] for name in row if name != "carried"} == {
            name: line[name] for name in line if name != "carried"
        }


def test_a_small_run_without_carried_columns_has_no_table(store: MemoryStore, tmp_path: Path):
    run(store, tmp_path, [ManifestRow(1, "http://h/1.jpg")], {1: UPLOADED})
    assert not [meta for chunk in store.list("_relay/birds/runs") for meta in chunk if "parquet" in meta["path"]]
