"""When a request is retried, and after how long."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.outcomes import TRANSIENT_STATUSES


def is_transient_status(status: int) -> bool:
    """Whether a retry of the same request may succeed: for 408, 420, 425, 429 and all of 5xx."""
    return status in TRANSIENT_STATUSES or 500 <= status <= 599


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Parse a `Retry-After` header, which holds seconds or a date (RFC 9110 10.2.3).

    Returns:
        Seconds from `now`, at least 0; None when the header is missing or malformed.
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


def retry_delay(attempts: int, retry_after: float | None, limits: Limits, rng: random.Random) -> float:
    """Return the seconds to wait after `attempts` attempts.

    The delay is the longer of exponential back-off with full jitter and the server's `retry_after`, which is limited
    to `retry_after_cap`.
    """
    bound = min(limits.backoff_cap, limits.backoff * 2.0 ** min(attempts - 1, 60))
    return max(rng.uniform(0.0, bound), min(retry_after or 0.0, limits.retry_after_cap))
