"""Tasks: the entries that are left, divided into the units of Dagster's dynamic fan-out."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from math import ceil
from urllib.parse import urlsplit

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.staging.pack_location import PackLocation

PER_URL_LIMIT = 25
"""Up to this number of entries, each entry is a task of its own. Its three steps cost about 0.6 s on two cores."""

SMALLEST_TASK = 50
"""Entries of the smallest task in a larger run."""

LARGEST_TASK = 500
"""Entries of the largest task: what a killed step does again, and what each running step may have in staging. While a
task is in one stage, no image of it leaves that stage. So its size also bounds how long a run stores nothing."""

PART_BYTES = 96 * 1024 * 1024
"""Bytes of downloads at which a task is full: its other entries follow when the first ones are stored."""


@dataclass(frozen=True, slots=True)
class Task:
    """Entries that pass through the stages together.

    Attributes:
        name: Dagster's mapping key: unique in the run, `[A-Za-z0-9_]+`.
        records: the entries that are left for the next stage.
        deferred: entries whose download is deferred until all tasks are done.
        retry_at: by entry, the earliest time to ask a deferred entry's server again, in seconds since the epoch. Only
            for servers that asked for a pause.
        locations: by entry, where the last stage wrote an entry's bytes in staging.
        rest: entries that were not downloaded because the task was full. They pass through the stages afterwards.
        part: 1, or for the rest of a task the number of its part.
    """

    name: str
    records: tuple[Record, ...]
    deferred: tuple[Record, ...] = ()
    retry_at: Mapping[int, float] = field(default_factory=dict)
    locations: Mapping[int, PackLocation] = field(default_factory=dict)
    rest: tuple[Record, ...] = ()
    part: int = 1

    def next_part(self, name: str) -> "Task":
        """The entries that are left when this part of task `name` is full, as a task of its own."""
        part = self.part + 1
        return Task(f"{name}_part_{part}", self.rest, retry_at=self.retry_at, part=part)


def max_concurrent_downloads(max_concurrent: int) -> int:
    """How many of a run's concurrent steps may be download steps: half of them, so that the stages overlap.

    Without this limit all steps download first, then all compose, then all upload.
    """
    return (max_concurrent + 1) // 2


def entries_per_task(entries: int, *, requested: int | None, max_concurrent: int) -> int:
    """The number of entries in the largest tasks of a run.

    Up to `PER_URL_LIMIT` entries, each is a task, so that every URL has a row of its own on the run page.

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


def task_sizes(entries: int, *, requested: int | None, max_concurrent: int) -> Iterator[int]:
    """The number of entries of each task, in the order in which they start.

    The first task is small, so that the first images are stored soon. Of the tasks that are downloaded beside it, each
    is larger than the one before by the same part of `entries_per_task`: with distant servers, download steps then end
    at equal intervals, and images are stored as evenly. The last tasks are smaller again, so that all steps end at
    about the same time.
    """
    largest = entries_per_task(entries, requested=requested, max_concurrent=max_concurrent)
    downloads = max_concurrent_downloads(max_concurrent)
    grows = requested is None and largest > SMALLEST_TASK
    for number in count():
        if entries <= 0:
            return
        taken = min(largest, entries)
        if grows:
            size = SMALLEST_TASK + largest * number // downloads
            taken = min(size, largest, max(ceil(entries / 2), largest // 2), entries)
            if entries - taken <= largest // 8:  # not worth three steps
                taken = min(largest, entries)
        yield taken
        entries -= taken


def split_into_tasks(records: Iterable[Record], sizes: Iterable[int]) -> Iterator[Task]:
    """Split records into tasks of these sizes, in order; the last one may be smaller."""
    remaining = iter(records)
    for size in sizes:
        batch = tuple(islice(remaining, size))
        if not batch:
            return
        yield Task(_task_name(batch), batch)


def _task_name(batch: tuple[Record, ...]) -> str:
    first, last = batch[0], batch[-1]
    if len(batch) > 1:
        return f"lines_{_label(first)}_to_{_label(last)}"
    stem = re.sub(r"[^A-Za-z0-9]+", "_", urlsplit(first.url).path.rpartition("/")[2])[:40].strip("_")
    return f"line_{_label(first)}_{stem}".rstrip("_")


def _label(record: Record) -> str:
    return f"{record.line}_{record.part}" if record.part else str(record.line)
