"""Merging the results of shard runs into those of their coordinator."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgrelay_dagster.relay.manifest.rows import BadRow, ManifestRow, Row
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.planning.shards import shard_rows
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.summary import read_summary
from imgrelay_dagster.relay.results import coordinator_results
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.results.shard_merge import add_unplanned_shard, merge_shards
from imgrelay_dagster.relay.settings import Shard
from tests.support.shards import LINES, ROWS, WHOLE, ShardedRuns


@pytest.fixture
def runs(tmp_path: Path) -> ShardedRuns:
    return ShardedRuns(tmp_path)


def test_the_summary_is_updated_after_each_shard_and_the_lines_after_the_last(runs: ShardedRuns):
    summary = runs.coordinate()
    assert (summary.status, summary.entries, summary.not_attempted) == ("partial", 62, 59)
    assert summary.reasons == {"key_conflict": 1, "invalid_entry": 1, "bad_url": 1}
    done = 0
    for number in (2, 1, 3):
        done += runs.shard(number, f"shard{number}").uploaded
        summary = runs.summary()
        assert (summary.uploaded, summary.failed, summary.not_attempted) == (done, 3, 59 - done)
        assert summary.reasons == {"key_conflict": 1, "invalid_entry": 1, "bad_url": 1}
        assert summary.status == ("success" if number == 3 else "partial")
        assert [row["line"] for row in runs.result_lines("results.jsonl")] == LINES
    assert (summary.uploaded, summary.bytes_out, summary.seconds) == (59, 58 * 7, 7.0)
    counted = Counter(row["outcome"] for row in runs.result_lines("results.jsonl"))
    assert counted == {"uploaded": 59, "failed": 3}


def test_lines_are_read_once_for_any_number_of_shards(runs: ShardedRuns, monkeypatch: pytest.MonkeyPatch):
    rows: list[Row] = [ManifestRow(line, f"http://h/{line}.jpg") for line in range(1, 201)]
    read = Counter[str]()
    write_files = coordinator_results.write_result_files

    def counting(records: Iterable[Record], *arguments: Any) -> Any:
        def counted() -> Iterator[Record]:
            for record in records:
                read["lines"] += 1
                yield record

        return write_files(counted(), *arguments)

    monkeypatch.setattr(coordinator_results, "write_result_files", counting)
    runs.coordinate(rows)
    for number in range(1, 9):
        runs.shard(number, f"shard{number}", of=8)
    assert runs.summary().status == "success"
    assert read["lines"] == 2 * 200  # by the coordinator, and after the last shard


def test_merged_results_equal_those_of_a_single_run(runs: ShardedRuns, tmp_path: Path):
    runs.coordinate()
    for number in (1, 2, 3):
        runs.shard(number, f"shard{number}")
    alone = ShardedRuns(tmp_path / "alone")
    (tmp_path / "alone").mkdir()
    made = alone.plan("whole", replace(WHOLE, max_entries_per_run=None))
    with ReceiptWriter(alone.store, run_receipts_prefix("birds", "whole"), "upload-x") as writer:
        for record in (record for task in made.tasks() for record in task.records):
            writer.add(replace(record, outcome=Outcome.UPLOADED, attempts=1, bytes_in=10, bytes_out=7, at=5.0))
    write_results(alone.store, "birds", run_id="whole", seconds=7.0)
    for name in ("results.jsonl", "failed.jsonl"):
        assert runs.result_lines(name) == alone.result_lines(name)
    whole = read_summary(alone.store, "birds", "whole")
    assert whole is not None
    started = {"first_image_seconds": None, "started_at": "", "ended_at": ""}  # shards have no common start
    assert runs.summary() == replace(whole, **started)


def test_merging_again_changes_nothing(runs: ShardedRuns):
    runs.coordinate()
    runs.shard(1, "shard1")
    before, results = runs.summary(), runs.result_lines("results.jsonl")
    assert merge_shards(runs.store, "birds", "whole") == before
    assert runs.result_lines("results.jsonl") == results


def test_a_second_run_of_a_shard_replaces_the_first(runs: ShardedRuns):
    runs.coordinate()
    for number in (1, 2):
        runs.shard(number, f"shard{number}")
    lost = runs.shard(3, "lost", done=2, status="failure")
    assert runs.summary().status == "failure"
    assert runs.summary().not_attempted == lost.not_attempted > 0
    runs.shard(3, "again")
    summary = runs.summary()
    assert (summary.status, summary.uploaded + summary.unchanged, summary.unchanged) == ("success", 59, 2)


def test_late_results_of_a_lost_run_do_not_replace_those_of_its_successor(runs: ShardedRuns):
    runs.coordinate()
    for number in (1, 2):
        runs.shard(number, f"shard{number}")
    shard = Shard("whole", 3, 3)
    runs.plan("lost", replace(WHOLE, shard=shard, whole_list=False), list(shard_rows(runs.store, "birds", shard)))
    runs.shard(3, "again")
    done = runs.summary()
    late_summary = write_results(runs.store, "birds", run_id="lost", seconds=1.0, status="failure")
    assert late_summary is not None
    assert late_summary.not_attempted > 0
    assert runs.summary() == done


def test_a_canceled_shard_makes_the_coordinator_canceled(runs: ShardedRuns):
    runs.coordinate()
    for number in (1, 2):
        runs.shard(number, f"shard{number}")
    runs.shard(3, "shard3", done=1, status="canceled")
    assert runs.summary().status == "canceled"


def test_the_tolerated_percentage_applies_to_all_shards_together(runs: ShardedRuns):
    rows = [*ROWS[:57], *(BadRow(line, "{", "broken JSON") for line in range(58, 64))]
    runs.coordinate(rows)
    for number in (1, 2, 3):
        runs.shard(number, f"shard{number}")
    assert (runs.summary().failed, runs.summary().status) == (6, "success")
    assert [row["reason"] for row in runs.result_lines("failed.jsonl")] == [Reason.INVALID_ENTRY] * 6


def test_a_shard_whose_results_were_deleted_counts_as_not_attempted(runs: ShardedRuns):
    runs.coordinate()
    for number in (1, 2, 3):
        runs.shard(number, f"shard{number}")
    runs.store.delete("_relay/birds/runs/shard2/results.jsonl")
    summary = merge_shards(runs.store, "birds", "whole")
    assert summary is not None
    assert summary.status == "failure"
    assert summary.not_attempted > 0


def test_a_damaged_shard_summary_counts_as_missing(runs: ShardedRuns):
    runs.coordinate()
    for number in (1, 2, 3):
        runs.shard(number, f"shard{number}")
    done = runs.summary()
    runs.store.put("_relay/birds/runs/whole/shards/2.json", bytes(100))
    summary = merge_shards(runs.store, "birds", "whole")
    assert summary is not None
    assert (summary.status, summary.uploaded < done.uploaded) == ("partial", True)


@pytest.mark.parametrize("status", ["canceled", "failure"])
def test_a_shard_that_ended_before_it_was_planned_is_counted_and_may_be_relayed_later(runs: ShardedRuns, status: str):
    whole = runs.coordinate()
    for number in (1, 2):
        runs.shard(number, f"shard{number}")
    unplanned, finished = Shard("whole", 3, 3), Shard("whole", 1, 3)
    for shard in (unplanned, finished):  # the results of the first shard stay
        add_unplanned_shard(runs.store, "birds", shard, run_id="never", status=status, seconds=0.0)
    summary = runs.summary()
    assert summary.status == status
    assert 0 < summary.not_attempted < whole.not_attempted
    assert Counter(row["outcome"] for row in runs.result_lines("results.jsonl")) == {
        "uploaded": summary.uploaded,
        "failed": 3,
        "not_attempted": summary.not_attempted,
    }
    runs.shard(3, "shard3")
    assert (runs.summary().status, runs.summary().uploaded) == ("success", 59)
