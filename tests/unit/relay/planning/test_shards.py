"""Shards: a manifest too large for one run, and the lines of each shard."""

from dataclasses import replace
from pathlib import Path

import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.planning.shards import read_shard_plan, shard_rows
from imgrelay_dagster.relay.settings import Shard
from tests.support.shards import LINES, ROWS, WHOLE, ShardedRuns


@pytest.fixture
def runs(tmp_path: Path) -> ShardedRuns:
    return ShardedRuns(tmp_path)


def test_a_run_has_shards_if_more_is_left_than_one_run_may_relay(runs: ShardedRuns):
    assert runs.plan("a").shards == 3  # 58 of 62 lines are left to do, 25 a run
    assert list(runs.plan("b").tasks()) == []
    assert runs.plan("c", replace(WHOLE, max_entries_per_run=58)).shards == 0
    assert runs.plan("d", replace(WHOLE, max_entries_per_run=None)).shards == 0


def test_each_line_belongs_to_one_shard_and_lines_with_the_same_key_to_the_same_one(runs: ShardedRuns):
    runs.coordinate()
    shares = [[row.line for row in shard_rows(runs.store, "birds", Shard("whole", n, 3))] for n in (1, 2, 3)]
    assert sorted(line for share in shares for line in share) == LINES
    assert all(share == sorted(share) and share for share in shares)
    for first, second in ((1, 58), (59, 60)):
        (together,) = [share for share in shares if first in share]
        assert second in together


def test_shard_rows_are_those_of_the_manifest(runs: ShardedRuns):
    runs.coordinate()
    rows = {row.line: row for n in (1, 2, 3) for row in shard_rows(runs.store, "birds", Shard("whole", n, 3))}
    assert rows[60] == ROWS[59]
    assert rows[61] == ROWS[60]
    assert (rows[62].url, rows[62].key) == ("ftp://h/x", None)
    assert {row.url for row in rows.values() if isinstance(row, ManifestRow)} == {
        row.url for row in ROWS if isinstance(row, ManifestRow)
    }


def test_a_second_launch_with_little_left_has_no_shards(runs: ShardedRuns):
    runs.coordinate()
    for number in (1, 2):
        runs.shard(number, f"shard{number}")
    made = runs.plan("again")
    assert made.shards == 0
    assert 0 < made.left < 25


def test_a_shard_without_a_coordinator_is_an_error(runs: ShardedRuns):
    with pytest.raises(RelayError, match=r"run elsewhere of dataset 'birds' left no shards in this destination"):
        list(shard_rows(runs.store, "birds", Shard("elsewhere", 1, 2)))
    assert read_shard_plan(runs.store, "birds", "elsewhere") is None
