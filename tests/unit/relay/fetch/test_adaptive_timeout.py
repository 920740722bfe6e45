"""The adaptive timeout of downloads."""

from imgrelay_dagster.relay.fetch.adaptive_timeout import INITIAL_TIMEOUT, MIN_TIMEOUT, AdaptiveTimeout


def test_the_timeout_follows_the_durations_of_the_other_downloads():
    timeout = AdaptiveTimeout()
    assert timeout() == INITIAL_TIMEOUT
    timeout.record_timeout()
    assert timeout() == INITIAL_TIMEOUT / 2
    for _ in range(3):
        timeout.record_duration(0.05)
    assert timeout() == MIN_TIMEOUT
    for _ in range(300):
        timeout.record_duration(3.0)
    assert 14 < timeout() <= 15
