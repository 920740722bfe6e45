"""Time limits and retries of store requests."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Time limits of a store request and of its retries, in seconds. Pauses between tries follow `BACKOFF`.

    Attributes:
        timeout: limit of one request.
        connect_timeout: limit of connecting.
        retries: retries after the first try.
        retry_timeout: no retry starts later than this after the first try.
    """

    timeout: float = 30.0
    connect_timeout: float = 5.0
    retries: int = 10_000
    retry_timeout: float = 60.0


BACKOFF = {"init_backoff": timedelta(seconds=0.1), "base": 3, "max_backoff": timedelta(seconds=5)}
"""obstore draws each pause between `init_backoff` and `base` times the last one; below base 3 they stay short."""

BULK = RetryPolicy()
"""For images and results: bridges a store outage of a minute."""

INTERACTIVE = RetryPolicy(timeout=4.0, connect_timeout=2.0, retries=2, retry_timeout=3.0)
"""For side tasks, and while a run is being canceled: fails within seconds."""

PROBE = RetryPolicy(timeout=10.0, connect_timeout=3.0, retry_timeout=8.0)
"""For the first request of a run: bridges a short interruption and soon reports a store that does not answer."""
