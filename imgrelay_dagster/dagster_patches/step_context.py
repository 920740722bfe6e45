"""Lets Dagster's multiprocess executor execute steps in processes of ours.

Changes: adds a start method to those of multiprocessing, during one run, in the run's process. The methods that Python
has stay as they are.

Why: Dagster starts a process for each step, which costs more than a small step does. And setting the stop event that it
gives each process can hang, see `stop_event.py`.

Upstream issue: none known.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import context as contexts
from typing import Any, cast

from imgrelay_dagster.dagster_patches.guard import Patch, is_known

_CHILD = "dagster._core.executor.child_process_executor"
_EXECUTOR = "dagster._core.executor.multiprocess"

STEP_CONTEXT = Patch(
    name="processes of steps",
    libraries="dagster 1.13.5 to 1.13.29",
    sources={
        f"{_EXECUTOR}:MultiprocessExecutor.execute": frozenset({"60b1287e2c5b3cd8"}),
        f"{_EXECUTOR}:execute_step_out_of_process": frozenset({"37853c9328a15bd3"}),
        f"{_EXECUTOR}:MultiprocessExecutorChildProcessCommand.execute": frozenset({"5e7bf98ee84e5c27"}),
        f"{_CHILD}:execute_child_process_command": frozenset({"2465a7887d29825c"}),
        f"{_CHILD}:_execute_command_in_child_process": frozenset({"a962afac0ea89af8"}),
        "dagster._utils:start_termination_thread": frozenset({"7708b5c92f9e644f"}),
        "dagster._utils:_termination_handler": frozenset({"791138e05b9b7f85"}),
    },
    apply=lambda: None,
)
"""Changes nothing by itself: `start_method` makes the change, for one run."""


def steps_can_have_a_context() -> bool:
    """Whether Dagster's executor uses its multiprocessing context as ours expects."""
    return is_known(STEP_CONTEXT)


@contextmanager
def start_method(context: object) -> Iterator[str]:
    """A start method with which `multiprocessing.get_context` returns this context, while the block runs."""
    methods: dict[str, Any] = cast(Any, contexts)._concrete_contexts
    name = f"imgrelay-{uuid.uuid4().hex}"
    methods[name] = context
    try:
        yield name
    finally:
        del methods[name]
