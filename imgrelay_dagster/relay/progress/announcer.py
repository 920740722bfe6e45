"""Announcing a run's progress in one sentence, in regular intervals.

An announcement is a row in Dagster's event log. So all steps of a run together make one announcement every
`ANNOUNCE_INTERVAL` seconds: the first step that checks in an interval makes it.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.concurrency.background import call_in_background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.formatting import most_frequent
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress.notes import RunProgress, read_progress
from imgrelay_dagster.relay.staging.scratch_space import Staging

ANNOUNCE_INTERVAL = 10.0
"""Seconds between two announcements of one run."""


class Announcer:
    """Makes the announcements of one step, coordinated with the run's other steps.

    Args:
        began: when the run was planned, in seconds since the epoch; None makes no announcements. Intervals are counted
            from there, and the first one has no announcement.
        announce: called with the run's progress when it is this step's turn.
        clock: the time, in seconds since the epoch.
        tick: called several times a second while the progress is read; an exception that it raises ends the reading.
    """

    def __init__(
        self,
        staging: Staging,
        began: float | None,
        announce: Callable[[RunProgress], None],
        clock: Callable[[], float] = time.time,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._staging = staging
        self._began = began
        self._announce = announce
        self._clock = clock
        self._tick = tick
        self._last_interval = 0

    def check(self) -> None:
        """Announce if a new interval has started and no other step has announced in it; ignore errors of staging."""
        interval = self._interval()
        if interval <= self._last_interval:
            return
        self._last_interval = interval
        if self._staging.claim(f"announced-{interval}"):
            with suppress(RelayError):
                self._announce(call_in_background(lambda _: read_progress(self._staging), self._tick))

    def _interval(self) -> int:
        return int((self._clock() - self._began) / ANNOUNCE_INTERVAL) if self._began is not None else 0


def sentence(progress: RunProgress, now: float) -> str:
    """The progress in one line, in the same words wherever it is shown.

    `92 of 1,000 done, 12 failed (12 timeout), 84 images/s, downloaded 400, composed 120, stored 80 of 1,000`. Done
    are the entries that are stored and those that failed.
    """
    return ", ".join([*headline(progress, now), stage_counts(progress)])


def headline(progress: RunProgress, now: float) -> list[str]:
    """The parts of the sentence without the counts of the stages; parts that are not known yet are left out."""
    parts = [f"{formatting.count(progress.ended)} of {formatting.count(progress.entries or 0)} done"]
    if progress.failed:
        parts.append(f"{formatting.count(progress.failed)} failed ({most_frequent(progress.reasons)})")
    rate, left = progress.rate(now), progress.seconds_left(now)
    if rate is not None:
        parts.append(f"{formatting.significant(rate)} images/s")
    if left:
        parts.append(f"about {formatting.seconds(max(1, round(left)))} left")
    return parts


def stage_counts(progress: RunProgress) -> str:
    """How many entries have passed each stage, of all that were left to do."""
    downloaded, composed, stored = (formatting.count(progress.passed.get(stage, 0)) for stage in Stage)
    return f"downloaded {downloaded}, composed {composed}, stored {stored} of {formatting.count(progress.entries or 0)}"
