"""When the head start relays entries, and which."""

from pathlib import Path

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.config.run_options import RelayOptions
from imgrelay_dagster.ops import head_start
from imgrelay_dagster.ops.head_start import DELAY, MOST, SIZE, SMALLEST_LIMIT, HeadStart
from imgrelay_dagster.ops.stages import TaskResult
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.records.ledger import Planned
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.resources import HttpResource, StoresResource, TemplatesResource


class Started:
    """A head start whose tasks only note their lines."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, limit: int | None) -> None:
        self.now, self.lines = 0.0, list[int]()
        stores = StoresResource(s3=S3Resource(), staging_address=str(folder / "staging"))
        options = RelayOptions(dataset="birds", destination=str(folder / "out"), max_entries_per_run=limit)
        with dg.DagsterInstance.ephemeral() as instance:
            step = Step(dg.build_op_context(instance=instance), options.settings(), stores)
        patch.setattr(head_start, "relay_task", lambda *arguments: self.relay(arguments[-1]))
        self.head = HeadStart(step, HttpResource(), TemplatesResource(stores=stores), clock=lambda: self.now)

    def relay(self, task: Task) -> TaskResult:
        self.lines += [record.line for record in task.records]
        return TaskResult(deferred=task.records[:1])

    def plan(self, entries: int) -> None:
        for line in range(1, entries + 1):
            self.head.observe(Planned(Record(line, "http://h/")))


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    return Started(tmp_path, monkeypatch, None)


def test_a_run_that_is_planned_quickly_has_no_head_start(started: Started):
    started.plan(10 * SIZE)
    started.now = DELAY / 2
    started.head.advance()
    assert (started.head.entries, started.head.results) == (0, [])


def test_the_first_entries_that_are_left_are_relayed_in_order(started: Started):
    started.head.observe(Planned(Record(-1, "http://h/", outcome=Outcome.UNCHANGED)))
    started.head.observe(Planned(Record(-2, "http://h/"), same_as=1))
    started.plan(2 * SIZE + 3)
    started.now = DELAY
    for _ in range(4):
        started.head.advance()
    assert started.lines == list(range(1, 2 * SIZE + 1))
    assert started.head.entries == 2 * SIZE
    assert [result.deferred[0].line for result in started.head.results] == [1, SIZE + 1]


def test_memory_does_not_grow_with_the_manifest(started: Started):
    started.plan(MOST + 1_000)
    assert len(started.head._planned) == MOST


@pytest.mark.parametrize(("limit", "entries"), [(SMALLEST_LIMIT - 1, 0), (SMALLEST_LIMIT, SIZE)])
def test_a_run_that_is_likely_to_be_split_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, entries: int
):
    started = Started(tmp_path, monkeypatch, limit)
    started.plan(2 * SIZE)
    started.now = DELAY
    started.head.advance()
    assert started.head.entries == entries
