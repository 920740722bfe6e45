"""When to try again, and how long to wait before."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.outcomes import TRANSIENT_STATUSES


def transient_status(status: int) -> bool:
    """Say whether the same request may be answered better a moment later: 408, 425, 429 and all of 5xx."""
    return status in TRANSIENT_STATUSES or 500 <= status <= 599


def retry_after(value: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header, which holds seconds or a date (RFC 9110 10.2.3).

    Returns:
        Seconds from `now`, at least 0; None when there is no such header or it cannot be read.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def delay(tried: int, asked: float | None, limits: Limits, rng: random.Random) -> float:
    """Seconds to wait after `tried` tries: exponential back-off with full jitter, or what the server asked.

    The longer of both, the server's wish being cut to `retry_after_cap`.
    """
    bound = min(limits.backoff_cap, limits.backoff * 2.0 ** min(tried - 1, 60))
    return max(rng.uniform(0.0, bound), min(asked or 0.0, limits.retry_after_cap))
