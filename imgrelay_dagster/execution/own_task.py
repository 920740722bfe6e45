"""What a step's process is told of a run's tasks: only its own.

Dagster tells each step of all dynamic outputs, and builds a plan of all steps of all of them to execute one step. In a
run of a hundred tasks that is more work than anything else that a small step does.
"""

# Private names, as in dagster 1.13.5 to 1.13.29.
from dagster._core.execution.plan.handle import ResolvedFromDynamicStepHandle, StepHandle
from dagster._core.execution.plan.state import KnownExecutionState


def with_own_task(state: KnownExecutionState, step_key: str) -> KnownExecutionState:
    """The state without the dynamic outputs of other tasks, if the step belongs to one task; otherwise the state."""
    handle = StepHandle.parse_from_key(step_key)
    if not isinstance(handle, ResolvedFromDynamicStepHandle):
        return state
    own = handle.mapping_key
    mappings = {
        step: {output: [own] if keys is not None and own in keys else keys for output, keys in outputs.items()}
        for step, outputs in state.dynamic_mappings.items()
    }
    return state._replace(dynamic_mappings=mappings)
