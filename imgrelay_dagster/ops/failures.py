"""Failures that concern the whole run, as Dagster is shown them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg
from obstore.exceptions import BaseError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.stores import explain

HALT_NOTE = "halt"
"""What a step leaves in staging when it meets trouble that concerns the whole run, for the other steps to end too."""


@contextmanager
def run_failures(staging: Staging | None = None) -> Iterator[None]:
    """Turn trouble that concerns the whole run into a Dagster failure that is not tried again.

    It has no cause: Dagster would write down all that a store's client says, signatures and endpoints among it.

    Args:
        staging: where to leave word for the run's other steps.
    """
    try:
        yield
    except RelayError as error:
        if staging is not None:
            with suppress(RelayError):  # the trouble may well be that staging is full
                staging.put_note(HALT_NOTE, str(error).encode())
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except BaseError as error:
        raise dg.Failure(description=f"a store fails: {explain(error)}") from None
