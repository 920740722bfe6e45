"""How far a run has come, in small notes that each step rewrites in staging about once a second.

Counters only: nothing here grows with the number of entries. The notes go when the run's scratch space goes.
What people are shown of it is one set of figures, on the terminal and on the run page.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Outcome, Record, Stage
from imgrelay_dagster.relay.staging.scratch_space import Staging

INTERVAL = 1.0
"""Seconds between two notes of one step."""

FIRST_GUESS = 5.0
"""Seconds after which it is said how long the rest will take: first connections are slow."""

PLAN_NOTE = "plan"
"""The note that says how much there is to do."""


@dataclass(slots=True)
class StepCounts:
    """One step's counts.

    `stage` is None in the note that plan leaves: its `entries` are what is left to do, and `began` is when that was
    known, in seconds since the epoch.
    """

    stage: Stage | None
    entries: int
    passed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    began: float | None = None


_note_json = TypeAdapter(StepCounts)


class StepProgress:
    """Counts one step's entries and leaves a note when it is due."""

    def __init__(self, staging: Staging, name: str, note: StepCounts, clock: Callable[[], float] = time.monotonic):
        self._staging = staging
        self._name = name
        self._note = note
        self._clock = clock
        self._due = 0.0

    def count(self, record: Record) -> None:
        """Take one entry that is through with this stage."""
        if record.outcome is Outcome.FAILED:
            reason = record.reason.value if record.reason else ""
            self._note.reasons[reason] = self._note.reasons.get(reason, 0) + 1
        else:
            self._note.passed += 1

    def write_if_due(self) -> None:
        """Leave a note if the last one is older than `INTERVAL`."""
        if self._clock() >= self._due:
            self.write()

    def write(self) -> None:
        """Leave a note now. What keeps it from being kept, the images in the same place will meet too."""
        with suppress(RelayError):
            # Not by pydantic, which would turn an interrupt that comes meanwhile into an error of its own.
            self._staging.put_note(self._name, json.dumps(asdict(self._note)).encode())
        self._due = self._clock() + INTERVAL


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run has come: entries left to do at its start, and how many each stage has passed or failed.

    `entries` and `began` (seconds since the epoch) are None until it is planned.
    """

    entries: int | None = None
    passed: dict[Stage, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    began: float | None = None

    @property
    def failed(self) -> int:
        """Entries that failed, in whatever stage."""
        return sum(self.reasons.values())

    @property
    def ended(self) -> int:
        """Entries that have their outcome."""
        return self.passed.get(Stage.UPLOAD, 0) + self.failed

    @property
    def work(self) -> float:
        """Work done, in entries: a stage is a third of one, so that it grows before the first task is through."""
        return min(self.entries or 0, sum(self.passed.values()) / len(Stage) + self.failed)

    def pace(self, now: float) -> float | None:
        """Entries a second since the run was planned; None while there is nothing to reckon it from."""
        if self.began is None or not self.work or now <= self.began:
            return None
        return self.work / (now - self.began)

    def seconds_left(self, now: float) -> float | None:
        """What the rest will take at this pace, in seconds; None in the first `FIRST_GUESS` seconds."""
        pace = self.pace(now)
        if pace is None or self.entries is None or self.began is None or now - self.began < FIRST_GUESS:
            return None
        return (self.entries - self.work) / pace


def read_progress(staging: Staging) -> RunProgress:
    """Add up the notes of a run; `entries` is None until it is planned."""
    entries, began = None, None
    passed = dict.fromkeys(Stage, 0)
    reasons: Counter[str] = Counter()
    for data in staging.notes():
        note = _read(data)
        if note is None:
            continue
        if note.stage is None:
            entries, began = note.entries, note.began
        else:
            passed[note.stage] += note.passed
            reasons.update(note.reasons)
    return RunProgress(entries, passed, dict(reasons.most_common()), began)


def planned_at(staging: Staging) -> float | None:
    """When the run was planned, in seconds since the epoch; None before that, or while staging is away."""
    data = None
    with suppress(RelayError):
        data = staging.note(PLAN_NOTE)
    note = None if data is None else _read(data)
    return None if note is None else note.began


def _read(data: bytes) -> StepCounts | None:
    """A note, or None for what is none, such as the word that ends a run."""
    try:
        return _note_json.validate_json(data)
    except ValidationError:
        return None
