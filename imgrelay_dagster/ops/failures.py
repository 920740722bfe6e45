"""Errors that concern the whole run, turned into Dagster failures."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg
from obstore.exceptions import BaseError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.error_text import explain

HALT_NOTE = "halt"
"""The note that a step leaves in staging when an error concerns the whole run, so that the other steps end too."""


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
