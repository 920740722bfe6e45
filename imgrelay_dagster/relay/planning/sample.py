"""A random sample of a list's entries."""

from collections.abc import Callable, Iterable
from random import Random
from typing import TypeVar

from imgrelay_dagster.relay.html_report.sampling import Reservoir

T = TypeVar("T")

TICK_ROWS = 500
"""Rows that are read between two calls of `tick`."""


def take_sample(
    rows: Iterable[T], size: int, random: Random, tick: Callable[[], None] = lambda: None
) -> tuple[list[T], int]:
    """Read all rows; return up to `size` of them, chosen at random and in their order, and the number of all rows.

    Memory grows with `size`, not with the number of rows.

    Args:
        tick: called every `TICK_ROWS` rows; an exception that it raises ends the reading.
    """
    sample: Reservoir[tuple[int, T]] = Reservoir(size, random)
    total = 0
    for total, row in enumerate(rows, 1):
        sample.add((total, row))
        if total % TICK_ROWS == 0:
            tick()
    return [row for _, row in sorted(sample.items, key=lambda item: item[0])], total
