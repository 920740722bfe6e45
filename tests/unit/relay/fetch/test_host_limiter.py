"""Limiting the concurrent requests to a host."""

import pytest

from imgrelay_dagster.relay.errors import Stopped
from imgrelay_dagster.relay.fetch.host_limiter import HostLimiter


def test_the_state_of_an_idle_host_is_deleted() -> None:
    limiter = HostLimiter(lambda _: 1)
    with limiter.slot("a", lambda: None), limiter.slot("b", lambda: None):
        assert len(limiter) == 2
        with pytest.raises(Stopped), limiter.slot("a", raise_stopped):
            pytest.fail("two slots at a time")
        assert len(limiter) == 2
    assert len(limiter) == 0


def raise_stopped() -> None:
    raise Stopped
