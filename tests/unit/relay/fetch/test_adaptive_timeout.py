"""The adaptive timeout of downloads."""

from imgrelay_dagster.relay.fetch.adaptive_timeout import (
    FIRST_TIMEOUT,
    INITIAL_TIMEOUT,
    MIN_TIMEOUT,
    AdaptiveTimeout,
)


def test_the_timeout_follows_the_durations_of_the_other_downloads():
    timeout = AdaptiveTimeout()
    assert timeout("http://a/x.jpg") == INITIAL_TIMEOUT
    timeout.record_timeout("http://a/x.jpg")
    assert timeout("http://a/x.jpg") == INITIAL_TIMEOUT / 2
    for _ in range(3):
        timeout.record_duration("http://a/x.jpg", 0.05)
    assert timeout("http://a/x.jpg") == MIN_TIMEOUT
    for _ in range(300):
        timeout.record_duration("http://a/x.jpg", 3.0)
    assert 14 < timeout("http://a/x.jpg") <= 15
    assert timeout("http://b/x.jpg") == timeout("http://a/x.jpg")


def test_a_host_that_always_answers_late_gets_more_time():
    timeout = AdaptiveTimeout()
    for _ in range(300):
        timeout.record_duration("http://near/x.jpg", 0.02)
    assert (timeout("http://near/x.jpg"), timeout("http://far/x.jpg")) == (MIN_TIMEOUT, FIRST_TIMEOUT)
    timeout.record_duration("http://far/x.jpg", 2.0)
    assert (timeout("http://near/x.jpg"), timeout("http://far/x.jpg")) == (MIN_TIMEOUT, 10.0)


def test_a_host_that_never_answers_gets_less_time():
    timeout = AdaptiveTimeout()
    for _ in range(3):
        timeout.record_duration("http://near/x.jpg", 0.02)
    timeout.record_timeout("http://silent/x.jpg")
    assert (timeout("http://silent/x.jpg"), timeout("http://far/x.jpg")) == (MIN_TIMEOUT, FIRST_TIMEOUT)
