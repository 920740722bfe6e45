"""How often sensors look: each has a default, and a variable for who wants it otherwise."""

import os

from imgrelay_dagster.relay.errors import RelayError

DEFAULTS = {
    "IMGRELAY_INBOX_INTERVAL": 30,
    "IMGRELAY_LATE_INTERVAL": 60,
    "IMGRELAY_WATCH_INTERVAL": 30,
}
"""Seconds; the last one is of the sensors that watch over runs."""


def interval(variable: str) -> int:
    """Seconds from one look of a sensor to its next.

    Raises:
        RelayError: the variable is set, and not to a whole number above 0.
    """
    default = str(DEFAULTS[variable])
    given = os.environ.get(variable) or default
    if not given.isdecimal() or int(given) == 0:
        raise RelayError(f"{variable} {given!r} is no number of seconds; write a whole one, such as {default}")
    return int(given)
