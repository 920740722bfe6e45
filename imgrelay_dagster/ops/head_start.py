"""The head start: while `plan` still reads a long manifest, it relays the first entries that are left to do.

Dagster starts the first task only when `plan` has ended, which takes some seconds with tens of thousands of entries.
The main thread of `plan` only waits meanwhile, so it takes small tasks through all stages, one after the other.
"""

import time
from collections.abc import Callable

from imgrelay_dagster.ops.stages import TaskResult, relay_task
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.ledger import Planned
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.resources import HttpResource, TemplatesResource

DELAY = 1.0
"""Seconds of planning before the head start. Most manifests are planned by then."""

SIZE = 25
"""Entries of one task of the head start: few, because `plan` ends only when the task has."""

MOST = 1_000
"""Entries of the whole head start."""

SMALLEST_LIMIT = 10_000
"""A run with a smaller `max_entries_per_run` has no head start, because it is likely to relay nothing itself."""


class HeadStart:
    """Relays the first entries of a run while it is planned.

    Attributes:
        results: the results of the tasks, for `report`.
        entries: entries that were relayed, the first of those that are left to do.
    """

    def __init__(
        self,
        step: Step,
        http: HttpResource,
        templates: TemplatesResource,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.results: list[TaskResult] = []
        self.entries = 0
        self._relay: Callable[[Task], TaskResult] = lambda task: relay_task(step, http, templates, task)
        self._clock = clock
        self._begins = clock() + DELAY
        limit = step.settings.max_entries_per_run
        self._most = MOST if limit is None or limit >= SMALLEST_LIMIT or step.settings.shard is not None else 0
        self._planned: list[Record] = []

    def observe(self, planned: Planned) -> None:
        """Note an entry that was planned. Called from another thread than `advance`."""
        if planned.record.outcome is None and planned.same_as is None and len(self._planned) < self._most:
            self._planned.append(planned.record)

    def advance(self) -> None:
        """Relay one more task, if planning takes long enough and has found enough entries."""
        if self._clock() < self._begins or len(self._planned) < self.entries + SIZE:
            return
        records = tuple(self._planned[self.entries : self.entries + SIZE])
        self.entries += SIZE
        self.results.append(self._relay(Task(f"first_{len(self.results) + 1}", records)))
