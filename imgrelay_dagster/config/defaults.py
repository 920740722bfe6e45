"""Defaults that depend on the environment and on the machine."""

import os

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.environment import MOST_CONCURRENT
from imgrelay_dagster.relay.errors import RelayError


def default_destination() -> str:
    """The destination of a run whose run config names none."""
    return environment.DESTINATION.get()


WAITING_STEPS = 1
"""Concurrent steps beyond one for each core: downloads mostly wait, and meanwhile other steps keep the cores busy."""


def default_max_concurrent() -> int:
    """Concurrent steps of a run that does not set their number.

    `IMGRELAY_MAX_CONCURRENT`, else one for each core, at least two, and `WAITING_STEPS` more.

    Raises:
        RelayError: the variable's value is not valid.
    """
    return environment.MAX_CONCURRENT.get() or max(2, len(os.sched_getaffinity(0))) + WAITING_STEPS


def checked_max_concurrent(given: int) -> int:
    """The number of concurrent steps in an executor's config, where 0 stands for the default.

    Raises:
        RelayError: the number is out of range.
    """
    if not 0 <= given <= MOST_CONCURRENT:
        raise RelayError(f"max_concurrent {given} is not a number from 1 to {MOST_CONCURRENT}, nor 0 for the default")
    return given or default_max_concurrent()
