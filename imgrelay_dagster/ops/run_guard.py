"""The guard of a step: it ends the step when its run is over, and refreshes the lock of the run's dataset."""

import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import parent_process

import dagster as dg
from obstore.store import ObjectStore

from imgrelay_dagster.ops.failures import HALT_NOTE
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.concurrency.background import BackgroundCall
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.dataset_lock import REFRESH_INTERVAL, refresh_lock, release_lock
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE

STATUS_INTERVAL = 2.0
"""Seconds between two checks of the run's status."""


_ENDED_STATUSES = {
    dg.DagsterRunStatus.CANCELING,
    dg.DagsterRunStatus.CANCELED,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.SUCCESS,  # seen only by a step that a worker executes a second time
}


REFRESH_TIMEOUT = 10.0
"""Seconds to wait for a running refresh: longer than the store's client takes."""


class RunGuard:
    """Ends a step whose run is over, and refreshes the lock of the run's dataset while the step works.

    Dagster signals a cancel to a running step. It does not signal a step that starts at that very moment, a step
    whose run's process was killed with `kill -9`, or a step whose run failed in another step.
    """

    def __init__(self, step: Step, staging: Staging, watch: Callable[[dg.DagsterRun], None] = lambda _: None) -> None:
        """Guard a step.

        Args:
            staging: the run's scratch space, which the caller has opened.
            watch: called with the run each time that it is checked.
        """
        self._watch = watch
        settings = step.settings
        self._instance = step.context.instance
        self._run_id = step.context.run_id
        self._dataset = settings.dataset
        self._stores = step.stores
        self._destination = settings.destination
        self._options = settings.store
        self._staging = staging
        self._next_check = 0.0
        self._next_refresh = time.monotonic() + REFRESH_INTERVAL
        self._refresh: BackgroundCall[None] | None = None

    def check(self) -> None:
        """Check the run's process in every call, and the run itself every `STATUS_INTERVAL` seconds.

        Raises:
            dagster.DagsterExecutionInterruptedError: the run is being canceled, has ended, or its process is gone.
            RelayError: another step wrote `HALT_NOTE` because of an error that concerns the whole run.
        """
        parent = parent_process()
        if parent is not None and not parent.is_alive():
            raise dg.DagsterExecutionInterruptedError("the run's process is gone")
        if time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + STATUS_INTERVAL
        # `get_run_by_id` reads more than is needed here, and each step does this at its start.
        run = next(iter(self._instance.get_runs(dg.RunsFilter(run_ids=[self._run_id]), limit=1)), None)
        if run is not None and run.status in _ENDED_STATUSES:
            raise dg.DagsterExecutionInterruptedError(f"the run is {run.status.value.lower()}")
        if run is not None:
            self._watch(run)
        halt_note = self._halt_note()
        if halt_note is not None:
            raise RelayError(halt_note.decode())
        if time.monotonic() >= self._next_refresh:
            self.start_refresh()

    def start_refresh(self) -> None:
        """Start refreshing the lock of the dataset in a background thread, unless a refresh is running.

        The step that announces the run's progress calls this too. So the lock stays fresh even if every step is
        shorter than `REFRESH_INTERVAL`.
        """
        if self._refresh is None or self._refresh.finished:
            self._next_refresh = time.monotonic() + REFRESH_INTERVAL
            self._refresh = BackgroundCall(lambda: refresh_lock(self._store(), self._dataset, self._run_id))

    def finish_refresh(self) -> None:
        """Wait for a running refresh; otherwise it would be cut off when the step's process ends."""
        if self._refresh is not None:
            with suppress(TimeoutError):
                self._refresh.wait(limit=REFRESH_TIMEOUT)

    def release_dataset(self) -> None:
        """Release the lock of the dataset, after any running refresh."""
        self.finish_refresh()
        release_lock(self._store(), self._dataset, self._run_id)

    def _store(self) -> ObjectStore:
        """Open the destination. Most steps never need it, and opening it reads all of the system's certificates."""
        return self._stores.open(self._destination, INTERACTIVE, self._options)

    def _halt_note(self) -> bytes | None:
        with suppress(RelayError):  # staging may be unavailable for a moment; a longer outage fails the images too
            return self._staging.read_note(HALT_NOTE)
        return None
