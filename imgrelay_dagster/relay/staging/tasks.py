"""Cutting the entries that are left into tasks, the unit of dynamic fan-out."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from urllib.parse import urlsplit

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.staging.scratch_space import PackLocation

PER_URL_LIMIT = 25
"""Up to so many entries each gets a chain of steps of its own. Three steps cost about 0.6 s on two cores."""

SMALLEST_TASK = 25
LARGEST_TASK = 1_000
"""Entries. A task is what a killed step does again, and what lies in staging at once for each running step."""


@dataclass(frozen=True, slots=True)
class Task:
    """Entries that travel together.

    `name` is the mapping key: unique in the run, `[A-Za-z0-9_]+`. `late` are entries whose download was set aside
    until the others are done; `due` says, by line, from when on its server may be asked again, where that is later, in
    seconds since the epoch. `places` says, by line, where in staging the last stage left an entry's bytes.
    """

    name: str
    records: tuple[Record, ...]
    late: tuple[Record, ...] = ()
    due: Mapping[int, float] = field(default_factory=dict)
    places: Mapping[int, PackLocation] = field(default_factory=dict)


def entries_per_task(entries: int, *, wanted: int | None, max_concurrent: int) -> int:
    """How many entries go into a task.

    Few entries: one each, so that every URL is a row of its own on the run page. Beyond `PER_URL_LIMIT`: as
    few tasks as keep `max_concurrent` steps busy to the end, each as many times, within the bounds above.
    """
    if wanted is not None:
        return wanted
    if entries <= PER_URL_LIMIT:
        return 1
    rounds = ceil(entries / (LARGEST_TASK * max_concurrent))
    return max(SMALLEST_TASK, ceil(entries / (rounds * max_concurrent)))


def cut(records: Iterable[Record], size: int) -> Iterator[Task]:
    """Cut records into tasks of `size` entries, in order; the last one may be smaller."""
    remaining = iter(records)
    while batch := tuple(islice(remaining, size)):
        yield Task(_name(batch, size), batch)


def _name(batch: tuple[Record, ...], size: int) -> str:
    first, last = batch[0], batch[-1]
    if size > 1:
        return f"lines_{first.line}_to_{last.line}"
    stem = re.sub(r"[^A-Za-z0-9]+", "_", urlsplit(first.url).path.rpartition("/")[2])[:40].strip("_")
    return f"line_{first.line}_{stem}".rstrip("_")
