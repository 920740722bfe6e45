"""A step's process is told of its own task only, and builds the same step from that."""

import dagster as dg
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.state import KnownExecutionState

from imgrelay_dagster.execution.own_task import with_own_task

TASKS = [f"lines_{number}" for number in range(200)]
STATE = KnownExecutionState(dynamic_mappings={"cut": {"result": TASKS, "none": None}})


@dg.op(out={"result": dg.DynamicOut(int), "none": dg.DynamicOut(int, is_required=False)})
def cut():
    yield dg.DynamicOutput(1, "only", "result")


@dg.op
def work(number: int) -> int:
    return number


@dg.op
def gather(numbers: list[int]) -> None: ...


@dg.job
def mapped() -> None:
    result, _ = cut()
    gather(result.map(work).collect())


def test_a_mapped_step_is_the_same_with_its_own_task_alone():
    key = "work[lines_7]"
    own = with_own_task(STATE, key)
    assert own.dynamic_mappings == {"cut": {"result": ["lines_7"], "none": None}}
    plans = [create_execution_plan(mapped, step_keys_to_execute=[key], known_state=state) for state in (STATE, own)]
    whole, small = (plan.get_executable_step_by_key(key) for plan in plans)
    assert small == whole
    assert len(plans[1].step_dict_by_key) < 10 < len(plans[0].step_dict_by_key)


def test_other_steps_are_told_of_all_tasks():
    for key in ("cut", "gather"):
        assert with_own_task(STATE, key) is STATE
