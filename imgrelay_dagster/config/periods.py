"""Periods of time as people write them: `30d`, `12h`, `2w`."""

import re

_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}
_PERIOD = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?([hdw])")


def parse_days(text: str) -> float:
    """The days of a period in hours, days or weeks.

    Raises:
        ValueError: it is none.
    """
    found = _PERIOD.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is not a number of hours, days or weeks such as 12h, 30d or 4w")
    return float(found[1]) * _DAYS[found[2]]
