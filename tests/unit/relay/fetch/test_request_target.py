"""Preparing URLs for requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.request_target import parse_target, resolve_redirect
from imgrelay_dagster.relay.outcomes import Reason

BASIC = "Basic dXNlcjpzM2NyZXQ="  # user:s3cret


def test_the_repr_of_a_target_shows_no_secrets() -> None:
    target = parse_target("https://user:s3cret@h/a.jpg?sig=s3cret")
    assert repr(target) == "Target('https://h/a.jpg')"
    assert target.authorization == BASIC
    assert "user" not in target.url


@pytest.mark.parametrize(
    "path",
    [
        *("/a%2fb%2F/%7Euser/%41.jpg", "//a//b.jpg", "/a/../b/./c.jpg", "/a.jpg?", "/?", "/a;v=1,2/b=c&d.jpg"),
        *("/a.jpg?sig=a%2fb+c%3d&x=~(1)'!*", "/a.jpg?a=1?b=/2", "/size[]=1|2.jpg?size[]={3}|4^5", "/a:b@c/$d"),
    ],
)
def test_a_valid_request_target_stays_as_it_is_written(path: str) -> None:
    written = path.replace("'", "%27")  # the one character that browsers encode in a query only
    assert parse_target(f"http://h{path}").path == written
    base = parse_target("http://h/other/x.jpg")
    assert resolve_redirect(base, f"http://h:80{path}").path == written
    if not path.startswith("//"):
        assert resolve_redirect(base, path).path == written


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        *(("", "/"), ("?q", "/?q"), ("/a b.jpg", "/a%20b.jpg"), ("/ü%20ö", "/%C3%BC%20%C3%B6"), ("/x#part", "/x")),
        *(("/100%.jpg", "/100%25.jpg"), ('/"<>`', "/%22%3C%3E%60"), ("/a?q=ä b", "/a?q=%C3%A4%20b")),
    ],
)
def test_only_what_a_request_must_not_contain_is_encoded(written: str, sent: str) -> None:
    target = parse_target(f"HTTP://H.test:81{written}")
    assert (target.path, target.url) == (sent, f"http://h.test:81{sent}")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        *(("b.jpg", "http://h:8/a//b.jpg"), ("../b.jpg", "http://h:8/a/b.jpg"), ("./../../b", "http://h:8/b")),
        *(("?v=2", "http://h:8/a//x.jpg?v=2"), ("//k/y", "http://k/y"), ("/%7e/..//y", "http://h:8/%7e/..//y")),
        *(("", "http://h:8/a//x.jpg?s=1"), ("#top", "http://h:8/a//x.jpg?s=1"), ("https://k", "https://k/")),
        *((" /y ", "http://h:8/y"), ("b/..", "http://h:8/a//"), ("../../../../b?x=../c", "http://h:8/b?x=../c")),
    ],
)
def test_a_redirect_is_resolved_without_changes_that_are_not_needed(location: str, url: str) -> None:
    assert resolve_redirect(parse_target("http://h:8/a//x.jpg?s=1"), location).url == url


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        *(("/f\\a.jpg", "/f/a.jpg"), ("/\\a\\.jpg", "//a/.jpg"), ("/a?q=b\\c", "/a?q=b%5Cc"), ("/%5C", "/%5C")),
        ("/a\\@k/b", "/a/@k/b"),
    ],
)
def test_a_backslash_in_a_path_is_a_slash(written: str, sent: str) -> None:
    assert parse_target(f"http://h{written}").path == sent
    assert resolve_redirect(parse_target("http://k/"), f"http://h{written}").url == f"http://h{sent}"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        *(
            ("\\raw\\x.jpg", "http://h/raw/x.jpg"),
            ("..\\b.jpg", "http://h/b.jpg"),
            ("b\\c?d\\e", "http://h/a/b/c?d%5Ce"),
        ),
        *(
            ("\\\\k/y", "http://k/y"),
            ("/\\k:81", "http://k:81/"),
            ("http:\\b", "http://h/b"),
            ("?\\", "http://h/a/x?%5C"),
        ),
    ],
)
def test_a_backslash_in_a_redirect_is_a_slash(location: str, url: str) -> None:
    target = resolve_redirect(parse_target("http://user:s3cret@h/a/x"), location)
    assert target.url == url
    assert (target.authorization is None) == (target.host != "h")


def test_tabs_and_line_breaks_in_a_redirect_are_ignored() -> None:
    base = parse_target("http://user:s3cret@h/a/x")
    assert resolve_redirect(base, "\t/b\tc\r\n.jpg?d\te").url == "http://h/bc.jpg?de"
    elsewhere = resolve_redirect(base, "/\t/k\t.l/b")
    assert (elsewhere.url, elsewhere.host, elsewhere.authorization) == ("http://k.l/b", "k.l", None)
    with pytest.raises(EntryFailure):
        resolve_redirect(base, "http://h\t\\@k/")


@pytest.mark.parametrize("site", ["h\\@k", "h\\", "u:p\\@k", "\\k", "h\\.k"])
def test_a_backslash_in_a_host_is_refused(site: str) -> None:
    for url in (f"http://{site}/a", f"https://{site}/a"):
        with pytest.raises(EntryFailure) as caught:
            parse_target(url)
        assert caught.value.reason is Reason.BAD_URL
    for location in (f"http://{site}/a", f"//{site}/a", f"\\\\{site}/a", f"/\\{site}/a"):
        with pytest.raises(EntryFailure):
            resolve_redirect(parse_target("http://h/"), location)


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
