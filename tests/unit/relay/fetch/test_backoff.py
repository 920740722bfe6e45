"""When requests are retried, and after how long."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.fetch.backoff import parse_retry_after, retry_delay
from imgrelay_dagster.relay.fetch.limits import Limits


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((None, None), ("", None), ("soon", None), ("-1", None), ("1.5", None), ("٣", None)),
        *(("0", 0.0), (" 120 ", 120.0), ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0)),
        *(("Tue, 24 Nov 2026 11:00:00 GMT", 0.0), ("Tuesday, 24-Nov-26 12:00:30 GMT", 30.0)),
    ],
)
def test_retry_after_is_parsed_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, datetime(2026, 11, 24, 12, tzinfo=UTC)) == seconds


@given(st.text(max_size=60))
def test_any_retry_after_is_parsed_or_ignored(value: str) -> None:
    seconds = parse_retry_after(value, datetime(2026, 11, 24, tzinfo=UTC))
    assert seconds is None or seconds >= 0


@given(
    attempts=st.integers(1, 100), retry_after=st.none() | st.floats(0, 1e9), seed=st.integers(), backoff=st.floats(0, 5)
)
def test_delays_are_random_below_a_doubling_bound_and_not_shorter_than_retry_after(
    attempts: int, retry_after: float | None, seed: int, backoff: float
) -> None:
    limits = Limits(backoff=backoff, backoff_cap=10, retry_after_cap=30)
    delay = retry_delay(attempts, retry_after, limits, random.Random(seed))
    minimum = min(retry_after or 0, 30)
    assert minimum <= delay <= max(minimum, min(10, backoff * 2 ** (attempts - 1)))
