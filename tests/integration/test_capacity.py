"""The simulation behind docs/scaling.md: its rules, its costs, and that the page shows its output."""

import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks.capacity.costs import Costs, load
from benchmarks.capacity.simulation import Day, Plan, Simulation
from tests.conftest import ROOT

NO_WAITING = {"latency": 0.0, "store_latency": 0.0}
AMPLE = Plan(200_000, slots=1_000, per_task=100, per_run=20_000, per_manifest=20_000, runs_at_once=3, at_once=16)


@pytest.fixture
def costs() -> Costs:
    return load()["small"]


def day(plan: Plan, costs: Costs) -> Day:
    return Simulation(plan, costs).run()


def test_one_slot_executes_steps_one_after_another(costs: Costs) -> None:
    plan = Plan(50_000, slots=1, per_task=500, **NO_WAITING)
    done = day(plan, costs)
    entries = plan.images * (sum(costs.entry_cpu.values()) + costs.planning + costs.reporting)
    assert (done.runs, done.tasks, done.steps) == (1, 100, 302)
    assert done.worker_cpu == pytest.approx(done.worked) == pytest.approx(entries + 302 * costs.step_cpu)
    assert done.seconds > done.worked


def test_task_sizes_are_those_that_runs_choose(costs: Costs) -> None:
    assert [Plan(100_000, slots=1, at_once=at_once).task for at_once in (2, 64)] == [500, 391]
    assert day(Plan(300_000, slots=1, at_once=2), costs).tasks == 600


def test_staging_never_holds_more_tasks_than_concurrent_steps(costs: Costs) -> None:
    for slots in (2, 20, 1_000):
        assert 0 < day(replace(AMPLE, slots=slots), costs).staged <= AMPLE.runs_at_once * AMPLE.at_once


def test_more_slots_than_submitted_steps_do_not_help(costs: Costs) -> None:
    bound = AMPLE.runs_at_once * AMPLE.at_once
    few, enough, more = (day(replace(AMPLE, slots=slots), costs).seconds for slots in (bound // 4, bound, 10 * bound))
    assert few > enough == more


def test_shard_runs_of_one_manifest_run_one_after_another(costs: Costs) -> None:
    one = day(replace(AMPLE, per_manifest=AMPLE.images), costs)
    ten = day(AMPLE, costs)
    assert (one.runs, ten.runs) == (11, 10)
    assert one.tasks == ten.tasks
    assert one.seconds > 2 * ten.seconds
    assert one.staged <= AMPLE.at_once


def test_waiting_for_origins_uses_slots_but_no_cpu(costs: Costs) -> None:
    near, far = (day(replace(AMPLE, latency=latency), costs) for latency in (0.0, 1.0))
    assert far.worker_cpu == near.worker_cpu
    assert far.worked > near.worked


@pytest.mark.parametrize("kind", ["small", "photo"])
def test_the_costs_predict_a_run_with_other_tasks(kind: str) -> None:
    predicted = load()[kind].predicted
    assert {"cpu", "puts", "gets", "rows"} <= predicted.keys()
    assert all(0.7 < ratio < 1.4 for ratio in predicted.values()), predicted


def test_the_page_shows_the_output_of_the_simulation() -> None:
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.capacity"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=240
    ).stdout
    page = (ROOT / "docs" / "scaling.md").read_text()
    assert "\n" in output.strip()
    for table in output.strip().split("\n\n"):
        assert table in page, f"docs/scaling.md lacks this table of python -m benchmarks.capacity:\n{table}"
