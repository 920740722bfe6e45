"""The watch that a step keeps on its run, and on the run's hold on its dataset."""

import time
from contextlib import suppress
from multiprocessing import parent_process

import dagster as dg
from obstore.store import ObjectStore

from imgrelay_dagster.ops.failures import HALT_NOTE
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.concurrency.background import Background
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.dataset_lock import REFRESH_INTERVAL, refresh_lock, release_lock
from imgrelay_dagster.relay.storage.stores import INTERACTIVE

GUARD_INTERVAL = 2.0
"""Seconds between two looks at the run's status."""


_ENDING = {
    dg.DagsterRunStatus.CANCELING,
    dg.DagsterRunStatus.CANCELED,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.SUCCESS,  # seen only by a step that was handed out twice
}


RENEWAL_LIMIT = 10.0
"""Seconds that a renewal under way is waited for: more than its store's client takes."""


class RunGuard:
    """Ends a step whose run is over, and renews the run's hold on its dataset meanwhile.

    Dagster tells a running step of a cancel by a signal. It does not tell a step launched in that very moment, nor one
    orphaned by a `kill -9` of the run's process, nor a step whose run has failed in another one.
    """

    def __init__(self, step: Step) -> None:
        settings = step.settings
        self._instance = step.context.instance
        self._run_id = step.context.run_id
        self._dataset = settings.dataset
        self._stores = step.stores
        self._destination = settings.destination
        self._staging = step.stores.staging(self._run_id)
        self._due = 0.0
        self._renewal = time.monotonic() + REFRESH_INTERVAL
        self._renewing: Background[None] | None = None

    def check(self) -> None:
        """Look at the run's process every time, at the run every `GUARD_INTERVAL` seconds.

        Raises:
            dagster.DagsterExecutionInterruptedError: the run is being cancelled, has ended or lost its process.
            RelayError: another step met trouble that concerns the whole run.
        """
        parent = parent_process()
        if parent is not None and not parent.is_alive():
            raise dg.DagsterExecutionInterruptedError("the run's process is gone")
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + GUARD_INTERVAL
        run = self._instance.get_run_by_id(self._run_id)
        if run is not None and run.status in _ENDING:
            raise dg.DagsterExecutionInterruptedError(f"the run is {run.status.value.lower()}")
        halted = self._halted()
        if halted is not None:
            raise RelayError(halted.decode())
        if time.monotonic() >= self._renewal:
            self.renew()

    def renew(self) -> None:
        """Begin to renew the run's hold on its dataset, unless that is under way.

        One of a run's steps does so whenever it tells how far the run is, which is often enough where every step is
        too short to do so by itself.
        """
        if self._renewing is None or self._renewing.over:
            self._renewal = time.monotonic() + REFRESH_INTERVAL
            self._renewing = Background(lambda: refresh_lock(self._store(), self._dataset, self._run_id))

    def end_renewal(self) -> None:
        """Let a renewal that is under way come to its end: it would go with the step's process."""
        if self._renewing is not None:
            with suppress(TimeoutError):
                self._renewing.wait(limit=RENEWAL_LIMIT)

    def let_go(self) -> None:
        """Release the dataset, once no renewal of the hold is under way any more."""
        self.end_renewal()
        release_lock(self._store(), self._dataset, self._run_id)

    def _store(self) -> ObjectStore:
        """Opened when needed, which in most steps it never is: that alone reads all of the system's certificates."""
        return self._stores.open(self._destination, INTERACTIVE)

    def _halted(self) -> bytes | None:
        with suppress(RelayError):  # staging that is away for a moment; if for longer, the images meet it too
            return self._staging.note(HALT_NOTE)
        return None
