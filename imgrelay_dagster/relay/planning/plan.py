"""The plan of a run: its counts, and the tasks of the entries that are left."""

import gzip
from collections.abc import Iterator
from itertools import islice
from math import ceil
from pathlib import Path

from imgrelay_dagster.relay.records.ledger import Planned, planned_json
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.tasks import Task, split_into_tasks, task_sizes


class Plan:
    """The plan of a run.

    Args:
        ledger: file with the run's ledger; needed until `tasks` is called.

    Attributes:
        entries: manifest lines.
        left: entries that have to be relayed.
        decided: number of entries that planning decided, by outcome.
    """

    def __init__(self, ledger: Path, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings
        self.entries = 0
        self.left = 0
        self.decided: dict[str, int] = {}

    def count(self, planned: Planned) -> None:
        """Add one ledger line to the counts."""
        self.entries += 1
        outcome = planned.record.outcome
        if outcome is not None:
            self.decided[outcome.value] = self.decided.get(outcome.value, 0) + 1
        elif planned.same_as is None:
            self.left += 1

    @property
    def shards(self) -> int:
        """Number of shard runs that share the work; 0 when this run does all of it."""
        limit = self._settings.max_entries_per_run
        if limit is None or self._settings.shard is not None or self.left <= limit:
            return 0
        return ceil(self.left / limit)

    def tasks(self, skip: int = 0) -> Iterator[Task]:
        """The tasks, in manifest order. A run with shards has no tasks.

        This opens the ledger's file, which may be deleted before the tasks are iterated.

        Args:
            skip: entries to leave out, the first of those that are left to do.
        """
        return iter(()) if self.shards else self._read_tasks(gzip.open(self._ledger), skip)

    def _read_tasks(self, lines: gzip.GzipFile, skip: int) -> Iterator[Task]:
        settings = self._settings
        sizes = task_sizes(self.left - skip, requested=settings.urls_per_task, max_concurrent=settings.max_concurrent)
        with lines:
            next(lines)
            planned = map(planned_json.validate_json, lines)
            left = (line.record for line in planned if line.record.outcome is None and line.same_as is None)
            yield from split_into_tasks(islice(left, skip, None), sizes)
