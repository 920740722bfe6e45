"""Keys, URL checks and fingerprints."""

import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.keys import check_key, check_url, default_key, fingerprint
from imgrelay_dagster.relay.outcomes import Reason

SAFE_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*-[0-9a-f]{16}\.jpg")
WITHOUT_DIGEST = re.compile(r"-[0-9a-f]{16}(?=\.jpg$)")

anything = st.text(alphabet=st.characters(categories=None), max_size=40)
url_like = st.builds(
    "{}://{}{}/{}{}".format,
    st.sampled_from(["http", "https", "ftp", ""]),
    st.sampled_from(["", "user:secret@", "@"]),
    st.one_of(anything, st.sampled_from(["h", "_relay", "[::1]", "..", "münchen.de"])),
    st.one_of(anything, st.sampled_from(["..", "%2e%2e", "a.jpg", "%2F_relay%2F", "画像.png", "x" * 300])),
    st.one_of(st.just(""), st.just("?sig=s3cret#f"), anything),
)


def refusal_of_url(url: str) -> str:
    with pytest.raises(EntryFailure) as caught:
        check_url(url)
    assert caught.value.reason is Reason.BAD_URL
    assert not caught.value.transient
    return caught.value.detail


def refusal_of_key(key: str) -> str:
    with pytest.raises(EntryFailure) as caught:
        check_key(key)
    assert caught.value.reason is Reason.INVALID_ENTRY
    return caught.value.detail


@pytest.mark.parametrize(
    ("url", "shape"),
    [
        ("https://Images.Example.COM/a/Photo.JPEG?w=1", "images.example.com/Photo.jpg"),
        ("http://h:8080/a.b.png", "h/a.b.jpg"),
        ("http://user:secret@h/a.jpg", "h/a.jpg"),
        ("http://h/a%20b%2Ejpg", "h/a-b.jpg"),
        ("http://h/photo.php?id=1", "h/photo.php.jpg"),
        ("http://h", "h/image.jpg"),
        ("http://h/", "h/image.jpg"),
        ("http://h/x/.jpg", "h/image.jpg"),
        ("http://h/%2e%2e", "h/image.jpg"),
        ("http://h/..%2F..%2Fetc%2Fpasswd", "h/etc-passwd.jpg"),
        ("http://h/a....b.jpg", "h/a.b.jpg"),
        ("http://h/.hidden.png", "h/hidden.jpg"),
        ("http://h/画像.png", "h/image.jpg"),
        ("http://münchen.de/a.gif", "xn--mnchen-3ya.de/a.jpg"),
        ("http://[2001:db8::1]:80/a.webp", "2001-db8-1/a.jpg"),
        ("http://_relay/a.jpg", "relay/a.jpg"),
        ("http://../a.jpg", "unknown-host/a.jpg"),
        ("http://[broken/a.jpg", "unknown-host/image.jpg"),
        ("no url at all", "unknown-host/no-url-at-all.jpg"),
        ("", "unknown-host/image.jpg"),
    ],
)
def test_default_key_reads_like_its_url(url: str, shape: str) -> None:
    key = default_key(url, "jpg")
    assert SAFE_KEY.fullmatch(key)
    assert WITHOUT_DIGEST.sub("", key) == shape


def test_default_key_never_changes() -> None:
    """Stored images are found again by it: a new version must not move them."""
    assert default_key("https://example.com/a/cat.png?v=2", "webp") == "example.com/cat-474ef0e3fdfa0998.webp"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://h/a b.jpg", "http://h/a-b.jpg"),
        ("http://h/画.jpg", "http://h/像.jpg"),
        ("http://h/a.jpg?w=1", "http://h/a.jpg?w=2"),
        ("http://h/1/a.jpg", "http://h/2/a.jpg"),
        ("http://h/a.jpg", "http://h/a.png"),
        ("http://h/a.jpg", "http://H/a.jpg"),
        ("http://h/a.jpg", "http://h:80/a.jpg"),
        ("http://h/\ud800", "http://h/\ud801"),
    ],
)
def test_urls_that_sanitise_alike_get_different_keys(one: str, other: str) -> None:
    first, second = default_key(one, "jpg"), default_key(other, "jpg")
    assert first != second
    assert len(WITHOUT_DIGEST.findall(first)) == len(WITHOUT_DIGEST.findall(second)) == 1


@given(st.one_of(anything, url_like))
@example("http://" + "h" * 300 + "/" + "n" * 300 + ".jpg")
@example("http://" + "ü" * 300 + "/" + "%41" * 300)
@example("\ud800")
def test_default_key_is_safe_for_any_text(url: str) -> None:
    key = default_key(url, "jpg")
    assert SAFE_KEY.fullmatch(key), key
    assert ".." not in key
    assert len(key.encode()) <= 200
    check_key(key)
    assert default_key(url, "jpg") == key


@given(st.lists(st.one_of(anything, url_like), min_size=2, unique=True))
def test_default_keys_are_as_many_as_urls(urls: list[str]) -> None:
    assert len({default_key(url, "jpg") for url in urls}) == len(urls)


@pytest.mark.parametrize("extension", ["", ".jpg", "../x", "JPG", "jpg\n", "a" * 9])
def test_default_key_refuses_an_extension_that_is_none(extension: str) -> None:
    with pytest.raises(ValueError, match="extension"):
        default_key("http://h/a.jpg", extension)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "1 to 1,024"),
        ("/a", "starts or ends with /"),
        ("a/", "starts or ends with /"),
        ("/", "starts or ends with /"),
        ("a//b", "empty"),
        (".", ". or .."),
        ("..", ". or .."),
        ("a/../b", ". or .."),
        ("a/./b", ". or .."),
        ("../../etc/passwd", ". or .."),
        ("a\\b", "backslash"),
        ("a\nb", "U+000A"),
        ("a\x00", "U+0000"),
        ("a\x7f", "U+007F"),
        ("a\x85", "U+0085"),
        ("a\u2028", "U+2028"),
        ("a\ud800", "U+D800"),
        ("_relay", "_relay"),
        ("_relay/x.jpg", "_relay"),
        ("_RELAY/x/y.jpg", "_relay"),
        ("a/b#1", "unfinished"),
        ("a#20/b", "unfinished"),
        ("#0", "unfinished"),
        ("A|", "drive"),
        ("a/z:", "drive"),
        ("a/0b|", "drive"),
        ("é" * 513, "1 to 1,024"),
        ("é" * 126, "250 bytes"),
        ("a/" + "b" * 251, "250 bytes"),
    ],
)
def test_unsafe_keys_are_refused_with_the_cause(key: str, why: str) -> None:
    assert why in refusal_of_key(key)


ACCEPTED = [
    "a",
    "a/b/c.jpg",
    "a b.jpg",
    ".hidden/...",
    "a..b",
    "100%/%2e%2e/%41",
    "_relays/x",
    "a/_relay/b",
    "a#b",
    "a#1b",
    "C:/D|/x",
    "C:.jpg",
    "é:",
    "#",
    "caf\u00e9/cafe\u0301",
    "日本/\U0001f600.png",
    "C:con*?<>|\"'~^`{}[]&=+$,;@!",
    " a / b ",
    "\u200b/\ufeff/\uffff",
    "a" * 250,
    "é" * 125,
    "/".join(["d" * 250] * 4) + "/e" * 10,
]


def store_and_find(key: str) -> None:
    """Put under `key` in a new folder; list and get must give it back under the very same name."""
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(folder)
        store.put(key, b"pixels")
        assert [found["path"] for page in store.list() for found in page] == [key]
        assert bytes(store.get(key).bytes()) == b"pixels"
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        assert [str(path.relative_to(folder)) for path in files] == [key]


@pytest.mark.parametrize("key", ACCEPTED)
def test_accepted_keys_are_stored_under_their_own_name(key: str) -> None:
    check_key(key)
    store_and_find(key)


segment = st.one_of(
    st.text(alphabet=st.characters(categories=None), max_size=12),
    st.text(alphabet="aA.#%/\\0129_~ é\u0301*?", max_size=12),
    st.sampled_from([".", "..", "_relay", "#1", "%2e%2e", "x" * 250, "A|", "b:"]),
)


def is_accepted(key: str) -> bool:
    try:
        check_key(key)
    except EntryFailure:
        return False
    return True


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.lists(segment, min_size=1, max_size=5).map("/".join).filter(is_accepted))
def test_whatever_is_accepted_round_trips(key: str) -> None:
    assert not key.casefold().startswith("_relay/")
    store_and_find(key)


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
def test_sound_urls_pass(url: str) -> None:
    assert check_url(url) is None


@pytest.mark.parametrize(
    ("url", "why"),
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
        ("http://a b/", "host holds"),
        ("http://h\\@secret/", "host holds"),
        ("http://a%41/", "host holds"),
        ("http://a<b>/", "host holds"),
        ("http://[::1]x/", "host"),  # which of two causes is told depends on the Python
        ("http://h:1:2/", "host holds"),
        ("http://a..b/", "over-long"),
        ("http://./", "over-long"),
        (f"http://{'a' * 64}.de/", "over-long"),
        (f"http://{'a.' * 130}de/", "over-long"),
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
def test_unsound_urls_are_refused_with_the_cause(url: str, why: str) -> None:
    detail = refusal_of_url(url)
    assert why in detail
    assert "secret" not in detail
    assert "sec" not in detail


@given(st.one_of(anything, url_like))
def test_check_url_raises_nothing_else_and_tells_no_secrets(url: str) -> None:
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
        assert parts.port is None or 0 < parts.port < 65536


BASE = {
    "url": "http://h/a.jpg",
    "template_digest": "ab" * 32,
    "layout": {"mode": "frame", "opacity": 1.0, "margin": None},
    "output": {"format": "jpeg", "quality": 85},
    "composer_version": "1",
}


def test_fingerprint_never_changes() -> None:
    """Receipts hold it: were it to change, every finished run would be done again."""
    expected = "9d8703ccd45ebfd8ab325d2443dd0cefe6c85c7356e00bbd156fd41dbee5b9ad"
    assert fingerprint(**BASE) == expected
    backwards = {"quality": 85, "format": "jpeg"}
    assert fingerprint(**{**BASE, "output": backwards}) == expected


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("url", "http://h/a.jpg#"),
        ("template_digest", "ac" * 32),
        ("layout", {"mode": "frame", "opacity": 0.5, "margin": None}),
        ("layout", {"mode": "frame", "opacity": 1, "margin": None}),
        ("layout", {"mode": "frame", "opacity": 1.0}),
        ("output", {"format": "jpeg", "quality": 86}),
        ("output", {"format": "jpeg", "quality": "85"}),
        ("composer_version", "2"),
    ],
)
def test_fingerprint_tells_every_part(part: str, value: object) -> None:
    changed = fingerprint(**{**BASE, part: value})
    assert re.fullmatch("[0-9a-f]{64}", changed)
    assert changed != fingerprint(**BASE)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_fingerprint_refuses_values_without_one_spelling(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        fingerprint(**{**BASE, "layout": {"margin": value}})
