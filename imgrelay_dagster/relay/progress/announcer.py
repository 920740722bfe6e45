"""Saying how far a run has come: a sentence, and no more often than people want to read one.

What is said on the run page is a row in Dagster's event log, so all steps of a run together say something every
`ANNOUNCE_INTERVAL` seconds, whichever of them comes first.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.concurrency.background import in_background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.formatting import most_frequent
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress.notes import RunProgress, read_progress
from imgrelay_dagster.relay.staging.scratch_space import Staging

ANNOUNCE_INTERVAL = 10.0
"""Seconds between two announcements of one run."""


class Announcer:
    """Lets one of a run's steps speak in each interval.

    Args:
        began: when the run was planned, in seconds since the epoch; intervals are counted from there, and the first
            passes in silence.
        say: is given how far the run is when this step is the one to speak.
        clock: the time, in seconds since the epoch.
        tick: called several times a second while it is read how far the run is; what it raises ends that.
    """

    def __init__(
        self,
        staging: Staging,
        began: float | None,
        say: Callable[[RunProgress], None],
        clock: Callable[[], float] = time.time,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._staging = staging
        self._began = began
        self._say = say
        self._clock = clock
        self._tick = tick
        self._last = 0

    def check(self) -> None:
        """Speak if a new interval has begun and no other step has spoken in it; in silence while staging is away."""
        interval = self._interval()
        if interval <= self._last:
            return
        self._last = interval
        if self._staging.claim(f"announced-{interval}"):
            with suppress(RelayError):
                self._say(in_background(lambda _: read_progress(self._staging), self._tick))

    def _interval(self) -> int:
        return int((self._clock() - self._began) / ANNOUNCE_INTERVAL) if self._began is not None else 0


def sentence(seen: RunProgress, now: float) -> str:
    """How far the run is, in one line: `2,431 of 10,000 done, 57 failed (40 timeout ...), 84 images/s, ...`."""
    return ", ".join([*headline(seen, now), stage_counts(seen)])


def headline(seen: RunProgress, now: float) -> list[str]:
    """The same without the stages, in its parts; those that cannot be told yet are left out."""
    parts = [f"{formatting.count(seen.ended)} of {formatting.count(seen.entries or 0)} done"]
    if seen.failed:
        parts.append(f"{formatting.count(seen.failed)} failed ({most_frequent(seen.reasons)})")
    pace, left = seen.pace(now), seen.seconds_left(now)
    if pace is not None:
        parts.append(f"{formatting.significant(pace)} images/s")
    if left:
        parts.append(f"about {formatting.seconds(max(1, round(left)))} left")
    return parts


def stage_counts(seen: RunProgress) -> str:
    """How many entries each stage has passed on."""
    downloaded, composed, uploaded = (formatting.count(seen.passed.get(stage, 0)) for stage in Stage)
    return f"{downloaded} downloaded, {composed} composed, {uploaded} uploaded"
