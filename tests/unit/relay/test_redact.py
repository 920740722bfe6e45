"""Removing secrets from URLs and messages."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.fetch.request_target import parse_target, resolve_redirect
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import redact, redact_key, redact_text
from tests.support.leaks import MARK, SIGNED, USER


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@Host.example:8080/a/b.jpg?X-Sig=1#f", "https://Host.example:8080/a/b.jpg"),
        ("http://token@h/a@b", "http://h/a@b"),
        ("http://a@b@h/", "http://h/"),
        ("//user:pw@h/a", "//h/a"),
        ("user:pw@h/a?q", "h/a"),
        ("http://h", "http://h"),
        ("http://h/a\nb", "http://h/a�b"),
        ("", ""),
    ],
)
def test_redacted_urls_show_scheme_host_port_and_path(url: str, shown: str) -> None:
    assert redact(url) == shown


@given(st.text(max_size=50), st.text(alphabet="abc/\\:", max_size=10))
def test_redaction_accepts_any_text_and_returns_one_short_line(text: str, path: str) -> None:
    shown = redact(f"http://{text}@h/{path}?s3cret#s3cret")
    assert "s3cret" not in shown
    assert len(redact(text * 100)) <= 301
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"GET http://{USER}@h:9/a?{SIGNED} failed", "GET http://h:9/a failed"),
        (f"'http://{USER}@h/a?{SIGNED}', and", "'http://h/a', and"),
        (f"(https://h/it's?{SIGNED}).", "(https://h/it's)."),
        (f"PUT /bucket/key?{SIGNED}: 403", "PUT /bucket/key: 403"),
        (f"<Code>X</Code><StringToSign>{MARK}\n{MARK}</StringToSign><A>b</A>", "<Code>X</Code><StringToSign><A>b</A>"),
        (f"<AWSAccessKeyId>AKIA{MARK}", "<AWSAccessKeyId>"),
        ("s3://bucket/prefix does not exist; is it there?", "s3://bucket/prefix does not exist; is it there?"),
        ("a\x1b[31m\nb", "a�[31m�b"),
    ],
)
def test_messages_lose_their_secrets_and_keep_the_rest(text: str, shown: str):
    assert redact_text(text) == shown
    assert EntryFailure(Reason.INTERNAL_ERROR, text).detail == shown
    assert str(RelayError(text)) == shown


@pytest.mark.parametrize(
    "url",
    [
        f"http:///{USER}@h/x",
        f"http:\\\\{USER}@h/x",
        f"http://{USER}/with/slashes@h/x",
        f"http:{USER}@h/x",
        f"//{USER}@h/x",
        f"/\\{USER}@h/x",
        f"http://[::1]:80{USER}@h/x",
    ],
)
def test_malformed_urls_are_shown_without_their_passwords(url: str):
    assert MARK not in redact(url)
    assert MARK not in redact_text(f"redirect to {url!r}")
    assert MARK not in error_detail(lambda: parse_target(url))
    assert MARK not in error_detail(lambda: resolve_redirect(parse_target("http://h/"), url.replace("http", "ftp")))


def error_detail(call: Callable[[], object]) -> str:
    """Return the detail of the failure that a call raises; empty when it succeeds."""
    try:
        call()
    except EntryFailure as failure:
        return failure.detail
    return ""


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("a/b?c=d.jpg", "a/b?c=d.jpg"),
        ("http://user:s3cret@h/a.jpg?sig=s3cret", "http://h/a.jpg"),
        ("//user:s3cret@h/a.jpg", "//h/a.jpg"),
    ],
)
def test_a_url_in_place_of_a_key_is_redacted(key: str, shown: str) -> None:
    assert redact_key(key) == shown
