"""Errors that concern the whole run, turned into Dagster failures."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg
from obstore.exceptions import BaseError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.error_text import explain

HALT_NOTE = "halt"
"""The note that a step leaves in staging when an error concerns the whole run, so that the other steps end too."""


CANCEL_SEEN_LIMIT = 1.0
"""Seconds within which a cancel that interrupts a step shows in the run's status."""

_OVER = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE)


@contextmanager
def no_retry_when_canceled(context: dg.OpExecutionContext) -> Iterator[None]:
    """Fail an interrupted step for good if its run is being canceled: by its retry policy it would be up for retry.

    An interrupt for another reason stays as it is: the worker is stopped, or the run's process is gone.

    Raises:
        dagster.Failure: in place of an interrupt.
    """
    try:
        yield
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
        if _is_canceled(context.instance, context.run_id):
            raise dg.Failure(description="the run was canceled", allow_retries=False) from None
        raise


def _is_canceled(instance: dg.DagsterInstance, run_id: str) -> bool:
    until = time.monotonic() + CANCEL_SEEN_LIMIT
    while True:
        with suppress(Exception):  # the database may be gone
            run = instance.get_run_by_id(run_id)
            if run is not None and run.status in _OVER:
                return True
        if time.monotonic() > until:
            return False
        time.sleep(0.1)


@contextmanager
def fail_run_on_error(staging: Staging | None = None) -> Iterator[None]:
    """Turn an error that concerns the whole run into a Dagster failure.

    A `RelayError` is not retried; an error of a store is. The failure has no cause, because Dagster would log all that
    a store's client says, including signatures and endpoints.

    Args:
        staging: where to leave `HALT_NOTE` for the run's other steps.

    Raises:
        dagster.Failure: in place of a `RelayError` or an error of a store.
    """
    try:
        yield
    except RelayError as error:
        if staging is not None:
            with suppress(RelayError):  # the error may be that staging is full
                staging.put_note(HALT_NOTE, str(error).encode())
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except BaseError as error:
        raise dg.Failure(description=f"storage error: {explain(error)}") from None
