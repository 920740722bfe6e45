"""Default keys, checks of keys, and fingerprints."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.keys import check_key, default_key, fingerprint
from imgrelay_dagster.relay.outcomes import Reason
from tests.support.url_strategies import any_text, url_like_text

SAFE_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*-[0-9a-f]{16}\.jpg")
WITHOUT_DIGEST = re.compile(r"-[0-9a-f]{16}(?=\.jpg$)")


def error_detail(key: str) -> str:
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
def test_default_key_resembles_its_url(url: str, shape: str) -> None:
    key = default_key(url, "jpg")
    assert SAFE_KEY.fullmatch(key)
    assert WITHOUT_DIGEST.sub("", key) == shape


def test_default_key_never_changes() -> None:
    """Later runs find stored images by their key, so a new version must not change it."""
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
def test_urls_with_the_same_sanitised_text_get_different_keys(one: str, other: str) -> None:
    first, second = default_key(one, "jpg"), default_key(other, "jpg")
    assert first != second
    assert len(WITHOUT_DIGEST.findall(first)) == len(WITHOUT_DIGEST.findall(second)) == 1


@given(st.one_of(any_text, url_like_text))
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


@given(st.lists(st.one_of(any_text, url_like_text), min_size=2, unique=True))
def test_different_urls_get_different_default_keys(urls: list[str]) -> None:
    assert len({default_key(url, "jpg") for url in urls}) == len(urls)


@pytest.mark.parametrize("extension", ["", ".jpg", "../x", "JPG", "jpg\n", "a" * 9])
def test_default_key_refuses_an_invalid_extension(extension: str) -> None:
    with pytest.raises(ValueError, match="extension"):
        default_key("http://h/a.jpg", extension)


@pytest.mark.parametrize(
    ("key", "problem"),
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
def test_unsafe_keys_are_refused_with_the_reason(key: str, problem: str) -> None:
    assert problem in error_detail(key)


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


def check_round_trip(key: str) -> None:
    """Store an object in a new folder; check that listing and reading return it under exactly this key."""
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(folder)
        store.put(key, b"pixels")
        assert [found["path"] for page in store.list() for found in page] == [key]
        assert bytes(store.get(key).bytes()) == b"pixels"
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        assert [str(path.relative_to(folder)) for path in files] == [key]


@pytest.mark.parametrize("key", ACCEPTED)
def test_accepted_keys_are_stored_unchanged(key: str) -> None:
    check_key(key)
    check_round_trip(key)


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
def test_every_accepted_key_is_stored_unchanged(key: str) -> None:
    assert not key.casefold().startswith("_relay/")
    check_round_trip(key)


BASE = {
    "url": "http://h/a.jpg",
    "template_digest": "ab" * 32,
    "layout": {"mode": "frame", "opacity": 1.0, "margin": None},
    "output": {"format": "jpeg", "quality": 85},
    "composer_version": "1",
}


def test_fingerprint_never_changes() -> None:
    """Receipts contain it: if it changed, every later run would repeat all its entries."""
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
def test_every_part_changes_the_fingerprint(part: str, value: object) -> None:
    changed = fingerprint(**{**BASE, part: value})
    assert re.fullmatch("[0-9a-f]{64}", changed)
    assert changed != fingerprint(**BASE)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_fingerprint_refuses_values_without_a_json_form(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        fingerprint(**{**BASE, "layout": {"margin": value}})
