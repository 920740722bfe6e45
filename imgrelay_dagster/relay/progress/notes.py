"""A run's progress: small notes in staging, which each step rewrites about once a second.

Notes hold counters only, so their size does not grow with the number of entries. They are deleted with the run's
scratch space. The terminal and the run page show the same figures, computed here.
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

NOTE_INTERVAL = 1.0
"""Seconds between two writes of one step's note."""

ESTIMATE_DELAY = 5.0
"""Seconds after planning before the time left is estimated: the first connections are slow."""

PLAN_NOTE = "plan"
"""The name of the note that op `plan` writes."""


@dataclass(slots=True)
class StepCounts:
    """The content of a note: one step's counts.

    Attributes:
        stage: None in the note of op `plan`.
        entries: the step's entries; for op `plan`, the run's entries that are left to do.
        passed: entries that have passed the stage.
        unchanged: entries that ended in the stage, because their source has not changed since an earlier run.
        reasons: failed entries by reason.
        began: for op `plan`, when the run was planned, in seconds since the epoch.
    """

    stage: Stage | None
    entries: int
    passed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    began: float | None = None
    unchanged: int = 0


_note_json = TypeAdapter(StepCounts)


class StepProgress:
    """Counts one step's entries and writes its note.

    Args:
        name: the note's name, unique in the run.
        counts: updated and written.
        clock: a monotonic time in seconds.
    """

    def __init__(self, staging: Staging, name: str, counts: StepCounts, clock: Callable[[], float] = time.monotonic):
        self._staging = staging
        self._name = name
        self._counts = counts
        self._clock = clock
        self._next_write = 0.0

    def count(self, record: Record) -> None:
        """Count an entry that has passed this stage or failed in it."""
        if record.outcome is Outcome.FAILED:
            reason = record.reason.value if record.reason else ""
            self._counts.reasons[reason] = self._counts.reasons.get(reason, 0) + 1
        elif record.outcome is Outcome.UNCHANGED:
            self._counts.unchanged += 1
        else:
            self._counts.passed += 1

    def write_if_due(self) -> None:
        """Write the note if the last write is more than `NOTE_INTERVAL` seconds ago."""
        if self._clock() >= self._next_write:
            self.write()

    def write(self) -> None:
        """Write the note. Errors of staging are ignored: the images, in the same store, meet them too."""
        with suppress(RelayError):
            # Not by pydantic, which turns an interrupt that arrives while it serializes into an error of its own.
            self._staging.put_note(self._name, json.dumps(asdict(self._counts)).encode())
        self._next_write = self._clock() + NOTE_INTERVAL


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The progress of a run.

    Attributes:
        entries: entries that were left to do when the run was planned; None until then.
        passed: entries that have passed each stage.
        reasons: failed entries by reason.
        began: when the run was planned, in seconds since the epoch; None until then.
    """

    entries: int | None = None
    passed: dict[Stage, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    began: float | None = None

    @property
    def failed(self) -> int:
        """Entries that failed, in any stage."""
        return sum(self.reasons.values())

    @property
    def ended(self) -> int:
        """Entries that are uploaded, unchanged or failed."""
        return self.passed.get(Stage.UPLOAD, 0) + self.failed

    @property
    def work(self) -> float:
        """Work done, in entries. Each stage counts a third, so that it grows before the first task has ended."""
        return min(self.entries or 0, sum(self.passed.values()) / len(Stage) + self.failed)

    def rate(self, now: float) -> float | None:
        """Entries per second since the run was planned; None until some work is done."""
        if self.began is None or not self.work or now <= self.began:
            return None
        return self.work / (now - self.began)

    def seconds_left(self, now: float) -> float | None:
        """Estimated seconds until the run ends, at the present rate; None in the first `ESTIMATE_DELAY` seconds."""
        rate = self.rate(now)
        if rate is None or self.entries is None or self.began is None or now - self.began < ESTIMATE_DELAY:
            return None
        return (self.entries - self.work) / rate


def read_progress(staging: Staging) -> RunProgress:
    """The progress of a run, from the notes of its steps."""
    entries, began = None, None
    passed = dict.fromkeys(Stage, 0)
    reasons: Counter[str] = Counter()
    for data in staging.read_notes():
        note = _parse(data)
        if note is None:
            continue
        if note.stage is None:
            entries, began = note.entries, note.began
        else:
            passed[note.stage] += note.passed
            for later in list(Stage)[list(Stage).index(note.stage) :]:  # the others are done without them
                passed[later] += note.unchanged
            reasons.update(note.reasons)
    return RunProgress(entries, passed, dict(reasons.most_common()), began)


def planned_at(staging: Staging) -> float | None:
    """When the run was planned, in seconds since the epoch; None before that, or if staging fails."""
    data = None
    with suppress(RelayError):
        data = staging.read_note(PLAN_NOTE)
    note = None if data is None else _parse(data)
    return None if note is None else note.began


def _parse(data: bytes) -> StepCounts | None:
    """A step's counts; None for a note of another kind, such as the one that ends a run's steps."""
    try:
        return _note_json.validate_json(data)
    except ValidationError:
        return None
