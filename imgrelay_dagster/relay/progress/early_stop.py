"""Stopping a run early that clearly goes wrong, such as one with wrong credentials or a dead CDN."""

import time
from collections.abc import Callable
from contextlib import suppress

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.concurrency.background import call_in_background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.formatting import most_frequent
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress.notes import RunProgress, read_progress
from imgrelay_dagster.relay.settings import StopWhenFailed
from imgrelay_dagster.relay.staging.scratch_space import Staging

CHECK_INTERVAL = 2.0
"""Seconds between two checks of one run. All its steps together make one check in each interval."""


class EarlyStop:
    """Ends a step once too large a share of its run's entries has failed.

    Args:
        limit: from which share on; None never ends it.
        tick: called several times a second while the progress is read; an exception that it raises ends the reading.
    """

    def __init__(self, staging: Staging, limit: StopWhenFailed | None, tick: Callable[[], None]) -> None:
        self._staging = staging
        self._limit = limit
        self._tick = tick
        self._last_interval = int(time.time() / CHECK_INTERVAL)

    def check(self) -> None:
        """Check if no other step has in this interval.

        Raises:
            RelayError: the run is to end.
        """
        interval = int(time.time() / CHECK_INTERVAL)
        if self._limit is None or interval <= self._last_interval:
            return
        self._last_interval = interval
        if not self._staging.claim(f"early-stop-{interval}"):
            return
        progress = None
        with suppress(RelayError):
            progress = call_in_background(lambda _: read_progress(self._staging), self._tick)
        if progress is not None and progress.entries is not None:  # before it is planned, a run would have no results
            stop_if_failing(progress, self._limit)


def stop_if_failing(progress: RunProgress, limit: StopWhenFailed) -> None:
    """Raise if more than the limit's share of the entries that were asked for has failed.

    Raises:
        RelayError: with the share and the most frequent reasons.
    """
    asked = progress.passed.get(Stage.DOWNLOAD, 0) + progress.failed
    if asked < limit.after or 100 * progress.failed <= limit.percentage * asked:
        return
    raise RelayError(
        f"stopped early: {formatting.count(progress.failed)} of the first {formatting.count(asked)} entries failed "
        f"({most_frequent(progress.reasons)}), more than the {limit.percentage:g} % of stop_when_failed; what was "
        "stored is kept, and the next launch does the rest"
    )
