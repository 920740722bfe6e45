"""Tasks: the entries that are left, divided into the units of Dagster's dynamic fan-out."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from urllib.parse import urlsplit

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.staging.pack_location import PackLocation

PER_URL_LIMIT = 25
"""Up to this number of entries, each entry is a task of its own. Its three steps cost about 0.6 s on two cores."""

SMALLEST_TASK = 25
"""Entries of the smallest task in a larger run."""

LARGEST_TASK = 1_000
"""Entries of the largest task: what a killed step does again, and what each running step may have in staging."""


@dataclass(frozen=True, slots=True)
class Task:
    """Entries that pass through the stages together.

    Attributes:
        name: Dagster's mapping key: unique in the run, `[A-Za-z0-9_]+`.
        records: the entries that are left for the next stage.
        deferred: entries whose download is deferred until all tasks are done.
        retry_at: by line, the earliest time to ask a deferred entry's server again, in seconds since the epoch. Only
            for servers that asked for a pause.
        locations: by line, where the last stage wrote an entry's bytes in staging.
    """

    name: str
    records: tuple[Record, ...]
    deferred: tuple[Record, ...] = ()
    retry_at: Mapping[int, float] = field(default_factory=dict)
    locations: Mapping[int, PackLocation] = field(default_factory=dict)


def entries_per_task(entries: int, *, requested: int | None, max_concurrent: int) -> int:
    """The number of entries in each task.

    Up to `PER_URL_LIMIT` entries, each is a task, so that every URL has a row of its own on the run page. For more,
    there are as few tasks as possible, in a multiple of `max_concurrent`, so that all steps end at about the same time;
    each within the bounds above.

    Args:
        entries: entries of the run.
        requested: the number that the run config asks for, if it does.
        max_concurrent: steps that run at the same time.
    """
    if requested is not None:
        return requested
    if entries <= PER_URL_LIMIT:
        return 1
    rounds = ceil(entries / (LARGEST_TASK * max_concurrent))
    return max(SMALLEST_TASK, ceil(entries / (rounds * max_concurrent)))


def split_into_tasks(records: Iterable[Record], size: int) -> Iterator[Task]:
    """Split records into tasks of `size` entries, in order; the last one may be smaller."""
    remaining = iter(records)
    while batch := tuple(islice(remaining, size)):
        yield Task(_task_name(batch, size), batch)


def _task_name(batch: tuple[Record, ...], size: int) -> str:
    first, last = batch[0], batch[-1]
    if size > 1:
        return f"lines_{first.line}_to_{last.line}"
    stem = re.sub(r"[^A-Za-z0-9]+", "_", urlsplit(first.url).path.rpartition("/")[2])[:40].strip("_")
    return f"line_{first.line}_{stem}".rstrip("_")
