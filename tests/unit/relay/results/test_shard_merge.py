"""A manifest too large for one run: cut into shards, each line in one of them, and joined again."""

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource
from obstore.store import MemoryStore

from imgrelay_dagster.config.run_config import RelayOptions, ShardConfig
from imgrelay_dagster.ops import plan
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import BadRow, ManifestRow, Row
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.planning.planner import Plan, plan_run
from imgrelay_dagster.relay.planning.shards import read_shard_plan, shard_rows
from imgrelay_dagster.relay.records.dataset_lock import DatasetHeld, acquire_lock, lock_holder, release_lock
from imgrelay_dagster.relay.records.layout import run_receipts
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.results import shard_merge
from imgrelay_dagster.relay.results.fold import Summary, read_summary, write_results
from imgrelay_dagster.relay.results.shard_merge import add_missing_part, join, write_shard_plan
from imgrelay_dagster.relay.settings import Settings, Shard
from imgrelay_dagster.relay.storage.stores import open_store
from imgrelay_dagster.resources import StoresResource

WHOLE = Settings(dataset="birds", destination="memory", max_entries_per_run=25, tolerated_failure_percentage=10)
ROWS: list[Row] = [ManifestRow(line, f"http://h/{line}.jpg") for line in range(1, 58)]
ROWS += [
    ManifestRow(58, "http://h/1.jpg"),  # repeats line 1
    ManifestRow(59, "http://h/other.jpg", key="own.jpg"),
    ManifestRow(60, "http://h/another.jpg", key="own.jpg", template="badge.png"),  # claims line 59's key
    BadRow(61, "{", "broken JSON"),
    ManifestRow(62, "ftp://h/x"),
]
LINES = [row.line for row in ROWS]


class House:
    """A destination, and runs that are planned and ended in it."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self._folder = folder

    def plan(self, run_id: str, settings: Settings = WHOLE, rows: list[Row] = ROWS) -> Plan:
        scratch = self._folder / run_id
        scratch.mkdir()
        return plan_run(
            rows, settings, run_id=run_id, store=self.store, templates=TemplateFolder.shipped(), scratch=scratch
        )

    def cut(self, rows: list[Row] = ROWS) -> Summary:
        made = self.plan("whole", rows=rows)
        return write_shard_plan(self.store, "birds", "whole", shards=made.shards, seconds=1.0)

    def shard(
        self, number: int, run_id: str, *, of: int = 3, done: int | None = None, status: str | None = None
    ) -> Summary:
        """Run one of the shards to its end, or until so many of its entries are done."""
        shard = Shard("whole", number, of)
        made = self.plan(run_id, replace(WHOLE, shard=shard), list(shard_rows(self.store, "birds", shard)))
        assert made.shards == 0
        records = [record for task in made.tasks() for record in task.records]
        with ReceiptWriter(self.store, run_receipts("birds", run_id), "upload-x") as writer:
            for record in records[:done]:
                writer.add(replace(record, outcome=Outcome.UPLOADED, attempts=1, bytes_in=10, bytes_out=7, at=5.0))
        summary = write_results(self.store, "birds", run_id=run_id, seconds=2.0, status=status)
        assert summary is not None
        return summary

    def lines(self, name: str, run_id: str = "whole") -> list[dict[str, Any]]:
        data = bytes(self.store.get(f"_relay/birds/runs/{run_id}/{name}").bytes())
        return [json.loads(line) for line in data.splitlines()]

    def summary(self) -> Summary:
        found = read_summary(self.store, "birds", "whole")
        assert found is not None
        return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_run_is_cut_when_more_is_left_than_one_run_may_do(house: House):
    assert house.plan("a").shards == 3  # 58 of 62 lines are left to do, 25 a run
    assert list(house.plan("b").tasks()) == []
    assert house.plan("c", replace(WHOLE, max_entries_per_run=58)).shards == 0
    assert house.plan("d", replace(WHOLE, max_entries_per_run=None)).shards == 0


def test_every_line_falls_to_exactly_one_shard_and_lines_with_one_key_to_the_same(house: House):
    house.cut()
    shares = [[row.line for row in shard_rows(house.store, "birds", Shard("whole", n, 3))] for n in (1, 2, 3)]
    assert sorted(line for share in shares for line in share) == LINES
    assert all(share == sorted(share) and share for share in shares)
    for first, second in ((1, 58), (59, 60)):
        (together,) = [share for share in shares if first in share]
        assert second in together


def test_shards_take_their_lines_as_the_manifest_had_them(house: House):
    house.cut()
    rows = {row.line: row for n in (1, 2, 3) for row in shard_rows(house.store, "birds", Shard("whole", n, 3))}
    assert rows[60] == ROWS[59]
    assert rows[61] == ROWS[60]
    assert (rows[62].url, rows[62].key) == ("ftp://h/x", None)
    assert {row.url for row in rows.values() if isinstance(row, ManifestRow)} == {
        row.url for row in ROWS if isinstance(row, ManifestRow)
    }


def test_the_summary_is_that_of_all_shards_at_every_moment_and_the_lines_follow_after_the_last(house: House):
    summary = house.cut()
    assert (summary.status, summary.entries, summary.not_attempted) == ("partial", 62, 59)
    assert summary.reasons == {"key_conflict": 1, "invalid_entry": 1, "bad_url": 1}
    done = 0
    for number in (2, 1, 3):
        done += house.shard(number, f"shard{number}").uploaded
        summary = house.summary()
        assert (summary.uploaded, summary.failed, summary.not_attempted) == (done, 3, 59 - done)
        assert summary.reasons == {"key_conflict": 1, "invalid_entry": 1, "bad_url": 1}
        assert summary.status == ("success" if number == 3 else "partial")
        assert [row["line"] for row in house.lines("results.jsonl")] == LINES
    assert (summary.uploaded, summary.bytes_out, summary.seconds) == (59, 58 * 7, 7.0)
    counted = Counter(row["outcome"] for row in house.lines("results.jsonl"))
    assert counted == {"uploaded": 59, "failed": 3}


def test_what_is_joined_is_read_once_however_many_shards_there_are(house: House, monkeypatch: pytest.MonkeyPatch):
    rows: list[Row] = [ManifestRow(line, f"http://h/{line}.jpg") for line in range(1, 201)]
    read = Counter[str]()
    tell = shard_merge.write_result_files

    def counting(records: Iterable[Record], *arguments: Any) -> Any:
        def counted() -> Iterator[Record]:
            for record in records:
                read["lines"] += 1
                yield record

        return tell(counted(), *arguments)

    monkeypatch.setattr(shard_merge, "write_result_files", counting)
    house.cut(rows)
    for number in range(1, 9):
        house.shard(number, f"shard{number}", of=8)
    assert house.summary().status == "success"
    assert read["lines"] == 2 * 200  # when it is cut, and at the end


def test_joined_results_are_those_of_one_run(house: House, tmp_path: Path):
    house.cut()
    for number in (1, 2, 3):
        house.shard(number, f"shard{number}")
    alone = House(tmp_path / "alone")
    (tmp_path / "alone").mkdir()
    made = alone.plan("whole", replace(WHOLE, max_entries_per_run=None))
    with ReceiptWriter(alone.store, run_receipts("birds", "whole"), "upload-x") as writer:
        for record in (record for task in made.tasks() for record in task.records):
            writer.add(replace(record, outcome=Outcome.UPLOADED, attempts=1, bytes_in=10, bytes_out=7, at=5.0))
    write_results(alone.store, "birds", run_id="whole", seconds=7.0)
    for name in ("results.jsonl", "failed.jsonl"):
        assert house.lines(name) == alone.lines(name)
    assert house.summary() == read_summary(alone.store, "birds", "whole")


def test_joining_again_changes_nothing(house: House):
    house.cut()
    house.shard(1, "shard1")
    before, results = house.summary(), house.lines("results.jsonl")
    assert join(house.store, "birds", "whole") == before
    assert house.lines("results.jsonl") == results


def test_a_shard_that_is_run_again_replaces_its_earlier_self(house: House):
    house.cut()
    for number in (1, 2):
        house.shard(number, f"shard{number}")
    lost = house.shard(3, "lost", done=2, status="failure")
    assert house.summary().status == "failure"
    assert house.summary().not_attempted == lost.not_attempted > 0
    house.shard(3, "again")
    summary = house.summary()
    assert (summary.status, summary.uploaded + summary.unchanged, summary.unchanged) == ("success", 59, 2)


def test_a_lost_run_that_gets_its_results_late_does_not_undo_those_of_the_run_in_its_place(house: House):
    house.cut()
    for number in (1, 2):
        house.shard(number, f"shard{number}")
    shard = Shard("whole", 3, 3)
    house.plan("lost", replace(WHOLE, shard=shard), list(shard_rows(house.store, "birds", shard)))
    house.shard(3, "again")
    done = house.summary()
    late = write_results(house.store, "birds", run_id="lost", seconds=1.0, status="failure")
    assert late is not None
    assert late.not_attempted > 0
    assert house.summary() == done


def test_a_cancelled_shard_makes_the_whole_canceled(house: House):
    house.cut()
    for number in (1, 2):
        house.shard(number, f"shard{number}")
    house.shard(3, "shard3", done=1, status="canceled")
    assert house.summary().status == "canceled"


def test_the_tolerated_share_is_one_of_the_whole(house: House):
    rows = [*ROWS[:57], *(BadRow(line, "{", "broken JSON") for line in range(58, 64))]
    house.cut(rows)
    for number in (1, 2, 3):
        house.shard(number, f"shard{number}")
    assert (house.summary().failed, house.summary().status) == (6, "success")
    assert [row["reason"] for row in house.lines("failed.jsonl")] == [Reason.INVALID_ENTRY] * 6


def test_a_second_launch_of_what_is_nearly_done_is_one_run(house: House):
    house.cut()
    for number in (1, 2):
        house.shard(number, f"shard{number}")
    made = house.plan("again")
    assert made.shards == 0
    assert 0 < made.left < 25


def test_a_shard_of_nothing_is_refused_in_words(house: House):
    with pytest.raises(RelayError, match=r"run elsewhere of dataset 'birds' left no shards in this destination"):
        list(shard_rows(house.store, "birds", Shard("elsewhere", 1, 2)))
    assert read_shard_plan(house.store, "birds", "elsewhere") is None


def test_a_shard_whose_results_were_deleted_counts_as_not_done(house: House):
    house.cut()
    for number in (1, 2, 3):
        house.shard(number, f"shard{number}")
    house.store.delete("_relay/birds/runs/shard2/results.jsonl")
    summary = join(house.store, "birds", "whole")
    assert summary is not None
    assert summary.status == "failure"
    assert summary.not_attempted > 0


def test_a_note_that_a_loss_of_power_left_broken_counts_as_none(house: House):
    house.cut()
    for number in (1, 2, 3):
        house.shard(number, f"shard{number}")
    done = house.summary()
    house.store.put("_relay/birds/runs/whole/shards/2.json", bytes(100))
    summary = join(house.store, "birds", "whole")
    assert summary is not None
    assert (summary.status, summary.uploaded < done.uploaded) == ("partial", True)


@pytest.mark.parametrize("status", ["canceled", "failure"])
def test_a_shard_that_ended_before_it_was_planned_is_told_of_and_may_be_done_later(house: House, status: str):
    whole = house.cut()
    for number in (1, 2):
        house.shard(number, f"shard{number}")
    lost, late = Shard("whole", 3, 3), Shard("whole", 1, 3)
    for shard in (lost, late):  # one of them is done, and stays so
        add_missing_part(house.store, "birds", shard, run_id="never", status=status, seconds=0.0)
    summary = house.summary()
    assert summary.status == status
    assert 0 < summary.not_attempted < whole.not_attempted
    assert Counter(row["outcome"] for row in house.lines("results.jsonl")) == {
        "uploaded": summary.uploaded,
        "failed": 3,
        "not_attempted": summary.not_attempted,
    }
    house.shard(3, "shard3")
    assert (house.summary().status, house.summary().uploaded) == ("success", 59)


def held_step(folder: Path, instance: dg.DagsterInstance, shard: ShardConfig | None) -> Step:
    """A step of a run of dataset `birds`."""
    stores = StoresResource(s3=S3Resource(), staging_address=str(folder / "staging"))
    options = RelayOptions(dataset="birds", destination=str(folder / "out"), shard=shard)
    return Step(dg.build_op_context(instance=instance), options.settings(), stores)


def test_a_shard_waits_for_its_dataset_and_any_other_run_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plan, "WAIT", 0.05)
    store = open_store(str(tmp_path / "out"))
    acquire_lock(store, "birds", "other", is_over=lambda _: False)
    with dg.DagsterInstance.ephemeral() as instance:
        with (
            pytest.raises(DatasetHeld, match="dataset 'birds' is being relayed by run other"),
            plan._dataset_held(held_step(tmp_path, instance, None)),
        ):
            pass
        shard = ShardConfig(coordinator="whole", number=1, of=2)
        letting_go = threading.Timer(0.3, release_lock, (store, "birds", "other"))
        letting_go.start()
        step = held_step(tmp_path, instance, shard)
        with plan._dataset_held(step):
            assert not letting_go.is_alive()
            held = lock_holder(store, "birds")
            assert held is not None
            assert held.run_id == step.context.run_id
