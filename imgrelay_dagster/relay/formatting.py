"""Formats numbers, sizes, durations and counts of reasons for people."""

import math
from collections.abc import Mapping
from itertools import islice


def count(number: int) -> str:
    """A number with thousands separators: `10,000`."""
    return f"{number:,}"


def percent(part: float, whole: float) -> str:
    """A percentage: `3.4 %`. A share above 0 is never shown as 0 %, and one below 100 % never as 100 %."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.0f} %" if share in (0, 100) else f"{share:.1f} %"


def size(number: float) -> str:
    """A number of bytes in decimal units: `15 kB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 999.5 or unit == "TB":
            break
        number /= 1000
    return f"{significant(number)} {unit}"


def seconds(number: float) -> str:
    """A duration in a suitable unit: `12 ms`, `3.4 s`, `2 min 5 s`, `1 h 20 min`."""
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
    """A number with two significant digits below 10, and without decimals above: `0.34`, `3.4`, `34`, `340`."""
    if number == 0:
        return "0"
    if abs(number) >= 9.95:
        return f"{number:,.0f}"
    decimals = max(0, 1 - math.floor(math.log10(abs(number))))
    return f"{number:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{number:.0f}"


MAX_REASONS_SHOWN = 3
"""Reasons shown in one line by default."""


def most_frequent(reasons: Mapping[str, int], limit: int = MAX_REASONS_SHOWN) -> str:
    """The most frequent reasons with their counts, at most `limit` of them: `40 timeout, 17 http_status ...`."""
    ranked = sorted(reasons.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{count(number)} {reason}" for reason, number in islice(ranked, limit))
    return f"{shown} ..." if len(ranked) > limit else shown
