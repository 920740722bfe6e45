"""Which URLs are accepted, and the details of those that are refused."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.urls import authority_of, check_url
from tests.support.url_strategies import any_text, url_like_text


def error_detail(url: str) -> str:
    with pytest.raises(EntryFailure) as caught:
        check_url(url)
    assert caught.value.reason is Reason.BAD_URL
    assert not caught.value.transient
    return caught.value.detail


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "HTTPS://H/a.jpg",
        "http://h/a b.jpg",
        "http://h/../../a.jpg",
        "http://h/?" + "q" * 3000,
        "http://h?q",
        "http://h:/a",
        "http://h:65535/a",
        "http://user:pw@h:80/a",
        "http://127.0.0.1/",
        "http://[::1]:8080/a",
        "http://my_host.example./a",
        "http://münchen.de/ü?ü#ü",
        "http://日本.jp/画像.png",
        "http://h/%zz%",
        "http://h/a\\b",
        "http://h/" + "a" * (8192 - 9),
    ],
)
def test_valid_urls_are_accepted(url: str) -> None:
    assert check_url(url) is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "http:// or https://"),
        ("h/a.jpg", "http:// or https://"),
        ("//h/a.jpg", "http:// or https://"),
        ("http:/h/a.jpg", "http:// or https://"),
        ("user:secret@h/a.jpg", "http:// or https://"),
        ("ftp://h/a.jpg", "'ftp'"),
        ("file:///etc/passwd", "'file'"),
        ("s3://bucket/a.jpg", "'s3'"),
        ("http://", "no host"),
        ("http:///a.jpg", "no host"),
        ("http://?secret", "no host"),
        ("http://:80/", "no host"),
        ("http://user:secret@/", "no host"),
        ("http://h:0/", "port"),
        ("http://h:65536/", "port"),
        ("http://h:abc/", "port"),
        ("http://h:-1/", "port"),
        ("http://h:٣/", "port"),
        ("http://user:sec/ret@h/", "port"),
        ("http://[::1/", "malformed host"),
        ("http://[zz]/", "malformed host"),
        ("http://a b/", "host contains"),
        ("http://h\\@secret/", "host contains"),
        ("http://a%41/", "host contains"),
        ("http://a<b>/", "host contains"),
        ("http://[::1]x/", "host"),  # which of two problems is reported depends on the Python version
        ("http://h:1:2/", "host contains"),
        ("http://a..b/", "too long"),
        ("http://./", "too long"),
        (f"http://{'a' * 64}.de/", "too long"),
        (f"http://{'a.' * 130}de/", "too long"),
        ("http://h/a\tb", "U+0009"),
        ("http://h/a\nb", "U+000A"),
        ("http://h/\x00", "U+0000"),
        ("http://h/\x9f", "U+009F"),
        ("http://h/\ud800", "U+D800"),
        (" http://h/", "space"),
        ("http://h/ ", "space"),
        ("http://h/" + "a" * 8184, "8,192"),
    ],
)
def test_invalid_urls_are_refused_with_the_reason_and_without_secrets(url: str, problem: str) -> None:
    detail = error_detail(url)
    assert problem in detail
    assert "secret" not in detail
    assert "sec" not in detail


@given(st.one_of(any_text, url_like_text))
def test_check_url_raises_only_bad_url_and_shows_no_secrets(url: str) -> None:
    failure = None
    try:
        check_url(url)
    except EntryFailure as raised:
        failure = raised
    if failure:
        assert failure.reason is Reason.BAD_URL
        assert "s3cret" not in failure.detail
        assert "user:" not in failure.detail
    else:
        parts = urlsplit(url)
        assert parts.scheme in ("http", "https")
        assert parts.hostname
        assert parts.netloc == authority_of(url)
        assert parts.port is None or 0 < parts.port < 65536
