"""Preparing URLs for requests."""

from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.request_target import parse_target
from imgrelay_dagster.relay.outcomes import Reason

BASIC = "Basic dXNlcjpzM2NyZXQ="  # user:s3cret


def test_the_repr_of_a_target_shows_no_secrets() -> None:
    target = parse_target("https://user:s3cret@h/a.jpg?sig=s3cret")
    assert repr(target) == "Target('https://h/a.jpg')"
    assert target.authorization == BASIC
    assert "user" not in target.url


@given(st.text(max_size=60), st.sampled_from(["http://", "https://h/", "http://h:", "http://[", "http://u:p@h?"]))
def test_parsing_raises_only_bad_url(text: str, start: str) -> None:
    try:
        target = parse_target(start + text)
    except EntryFailure as failure:
        target, reason = None, failure.reason
    if target is None:
        assert reason is Reason.BAD_URL
    else:
        assert target.url.isascii()
        assert target.origin[0] in {"http", "https"}
        assert 0 < target.origin[2] < 65536
