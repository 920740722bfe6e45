"""How far a run has come, in small notes that each step rewrites in staging about once a second.

Counters only: nothing here grows with the number of entries. The notes go when the run's scratch space goes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.outcomes import Outcome, Record, Stage
from imgrelay_dagster.relay.staging import Staging

INTERVAL = 1.0
"""Seconds between two notes of one step."""


@dataclass(slots=True)
class Note:
    """One step's counts. `stage` is None in the note that plan leaves; its `entries` are what is left to do."""

    stage: Stage | None
    entries: int
    passed: int = 0
    failed: int = 0


_note_json = TypeAdapter(Note)


class StepProgress:
    """Counts one step's entries and leaves a note when it is due."""

    def __init__(self, staging: Staging, name: str, note: Note, clock: Callable[[], float] = time.monotonic):
        self._staging = staging
        self._name = name
        self._note = note
        self._clock = clock
        self._due = 0.0

    def count(self, record: Record) -> None:
        """Take one entry that is through with this stage."""
        if record.outcome is Outcome.FAILED:
            self._note.failed += 1
        else:
            self._note.passed += 1

    def write_if_due(self) -> None:
        """Leave a note if the last one is older than `INTERVAL`."""
        if self._clock() >= self._due:
            self.write()

    def write(self) -> None:
        """Leave a note now."""
        self._due = self._clock() + INTERVAL
        self._staging.put_note(self._name, _note_json.dump_json(self._note))


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run has come: entries left to do at its start, and how many each stage has passed or failed."""

    entries: int | None = None
    passed: dict[Stage, int] = field(default_factory=dict)
    failed: int = 0

    @property
    def ended(self) -> int:
        """Entries that have their outcome."""
        return self.passed.get(Stage.UPLOAD, 0) + self.failed


def read_progress(staging: Staging) -> RunProgress:
    """Add up the notes of a run; `entries` is None until it is planned."""
    entries, failed = None, 0
    passed = dict.fromkeys(Stage, 0)
    for data in staging.notes():
        try:
            note = _note_json.validate_json(data)
        except ValidationError:
            continue
        if note.stage is None:
            entries = note.entries
        else:
            passed[note.stage] += note.passed
            failed += note.failed
    return RunProgress(entries, passed, failed)
