"""Entries whose hosts are asked as often as they bear: they wait once nothing else is left to do in a step."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import zip_longest

from imgrelay_dagster.relay.errors import Deferred, EntryFailure
from imgrelay_dagster.relay.outcomes import Reason, Record
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.relay.urls import authority_of

BUSY_PATIENCE = 10.0
"""Seconds that a step waits for busy hosts. Entries whose turn does not come in that time are deferred to the end of
the run."""

Slot = Callable[[Callable[[], None]], AbstractContextManager[None]]
"""Holds the place of one download, as `DownloadPace.slot` does."""


def in_turn(records: Iterable[Record]) -> Iterator[Record]:
    """The records in an order that takes one of each host in turn, so that no host's queue hides another's."""
    by_host: dict[str, list[Record]] = {}
    for record in records:
        by_host.setdefault(authority_of(record.url), []).append(record)
    for group in zip_longest(*by_host.values()):
        yield from (record for record in group if record is not None)


def busy_hosts_last(
    task: Task,
    run: Callable[[Task, Slot, float | None], Task],
    slots: tuple[Slot, Slot],
    is_busy: Callable[[int], bool],
    patience: float | None,
) -> Task:
    """Download the entries of a task; wait for busy hosts when nothing else is left.

    Args:
        run: downloads a task's entries; it gets the slots to use, and until when to wait for busy hosts.
        slots: those of entries that need not wait, and those of entries that mostly wait for their turn.
        is_busy: whether an entry was deferred because its host is busy, by its number.
        patience: seconds to wait for busy hosts; None waits as long as it takes.
    """
    task = run(task, slots[0], 0.0)
    busy = [record for record in task.deferred if is_busy(record.entry)]
    if not busy:
        return task
    waiting = {record.entry for record in busy}
    others = tuple(record for record in task.deferred if record.entry not in waiting)
    until = None if patience is None else time.monotonic() + patience
    done = run(replace(task, records=tuple(in_turn(busy)), deferred=others), slots[1], until)
    return replace(done, records=tuple(sorted((*task.records, *done.records), key=lambda record: record.entry)))


def is_slow(error: EntryFailure | Deferred) -> bool:
    """Whether a download ended because its server is slow."""
    return error.cause == "slow" if isinstance(error, Deferred) else error.reason is Reason.TIMEOUT
