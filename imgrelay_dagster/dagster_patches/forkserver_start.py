"""Starts multiprocessing's forkserver by a fork of this process.

Changes: `multiprocessing.util.spawnv_passfds`, for one call, in the command `imgrelay`, and in no other process.

Why: multiprocessing starts its forkserver as a new Python, which imports Dagster a second time: half of the CPU time of
a run of one URL. A fork of the command has Dagster imported and shares its memory.

Upstream issue: none known.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import util
from typing import Any, cast

from imgrelay_dagster.dagster_patches.guard import Patch, is_known

FORKSERVER_START = Patch(
    name="start of the forkserver",
    libraries="CPython 3.11 to 3.14",
    sources={
        "multiprocessing.forkserver:ForkServer.ensure_running": frozenset({"4e37aa6dc9493a5d", "ed7591e464f78dcd"}),
        "multiprocessing.util:spawnv_passfds": frozenset({"f056c0abe8b08dc3", "c40e37c95c643995"}),
    },
    apply=lambda: None,
)
"""Changes nothing by itself: `start_by_fork` makes the change, for one call."""


@contextmanager
def start_by_fork(fork: Callable[[Sequence[str], Sequence[int]], int]) -> Iterator[None]:
    """Let `fork` start the first process that multiprocessing starts in this block.

    Args:
        fork: is given the arguments of the Python that would be started and the descriptors of the files that it would
            inherit; returns the process ID.
    """
    if not is_known(FORKSERVER_START):
        yield
        return
    original = util.spawnv_passfds

    def start(_program: str, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
        util.spawnv_passfds = original  # here, and in every process that is forked from here
        return fork(arguments, descriptors)

    util.spawnv_passfds = cast(Any, start)
    try:
        yield
    finally:
        util.spawnv_passfds = original
