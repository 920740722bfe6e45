"""Numbers as people read them, and what each reason means."""

import math
from collections.abc import Mapping
from itertools import islice


def count(number: int) -> str:
    """`10,000`."""
    return f"{number:,}"


def percent(part: float, whole: float) -> str:
    """`3.4 %`; never `0.0 %` for something, nor `100.0 %` for less than everything."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.0f} %" if share in (0, 100) else f"{share:.1f} %"


def size(number: float) -> str:
    """Bytes in decimal units: `15 kB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 999.5 or unit == "TB":
            break
        number /= 1000
    return f"{significant(number)} {unit}"


def seconds(number: float) -> str:
    """A duration in the unit that suits it: `12 ms`, `3.4 s`, `2 min 5 s`, `1 h 20 min`."""
    if number < 0.9995:
        return f"{significant(number * 1000)} ms" if number else "0 s"
    if number < 99.5:
        return f"{significant(number)} s"
    minutes, rest = divmod(round(number), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def significant(number: float) -> str:
    """Two figures where they tell something: `0.34`, `3.4`, `34`, `340`."""
    if number == 0:
        return "0"
    if abs(number) >= 9.95:
        return f"{number:,.0f}"
    decimals = max(0, 1 - math.floor(math.log10(abs(number))))
    return f"{number:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{number:.0f}"


MOST_REASONS = 3
"""Reasons named in one line, the commonest first."""


def most_frequent(reasons: Mapping[str, int], most: int = MOST_REASONS) -> str:
    """The commonest reasons with their counts, the commonest first: `40 timeout, 17 http_status ...`."""
    ranked = sorted(reasons.items(), key=lambda item: -item[1])
    told = ", ".join(f"{count(number)} {reason}" for reason, number in islice(ranked, most))
    return f"{told} ..." if len(ranked) > most else told
