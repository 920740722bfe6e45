"""What is fuzzed: each target takes bytes and returns a word for what came of them, or raises for a finding."""

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from imgrelay_dagster.demo.pictures import names, picture
from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.fetch.request_target import parse_target, resolve_redirect
from imgrelay_dagster.relay.imaging.decode import Source
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.keys import MAX_DEFAULT_KEY, check_key, default_key
from imgrelay_dagster.relay.manifest.reader import read_manifest
from imgrelay_dagster.relay.manifest.rows import MAX_TEXT, BadRow
from tests.support import picture_files as files

MAX_PIXELS = 2_000_000


@cache
def picture_corpus() -> list[bytes]:
    """The smallest demo picture of each kind, and tiny ones: a damage there is likelier to hit the structure."""
    smallest: dict[str, bytes] = {}
    for name in names():
        kind, data = name.partition("/")[0], picture(name).data
        if len(data) < len(smallest.get(kind, data + b" ")):
            smallest[kind] = data
    small, alpha = files.noise((40, 30)), files.noise((40, 30), mode="RGBA")
    frames = {"save_all": True, "append_images": [small.rotate(90)], "duration": 40}
    tiny = [
        files.encoded(small, "JPEG", icc_profile=files.rgb_profile()),
        files.encoded(small, "JPEG", progressive=True),
        files.encoded(alpha, "PNG", icc_profile=files.rgb_profile()),
        files.encoded(small.quantize(50), "PNG", transparency=bytes(range(50))),
        files.encoded(alpha, "WEBP"),
        files.encoded(small, "WEBP", lossless=True, **frames),
        files.encoded(small, "GIF", comment="hello", transparency=3, **frames),
        files.encoded(alpha, "AVIF", speed=10),
    ]
    return [*smallest.values(), *tiny * 3]


def decode(data: bytes) -> str:
    """Any body gives an upright picture in RGB or RGBA within the limit, or a failure with a sentence."""
    try:
        source = Source.inspect(data, MAX_PIXELS)
        decoded = source.decode(_a_fifth if len(data) % 2 else None)
    except EntryFailure as failure:
        return _told(failure)
    image = decoded.image
    assert image.mode in ("RGB", "RGBA")
    assert image.width * image.height <= MAX_PIXELS
    assert len(image.tobytes()) == image.width * image.height * len(image.mode)
    return "picture"


def _told(failure: EntryFailure) -> str:
    assert 10 < len(failure.detail) < 500
    assert failure.detail.isprintable()
    return failure.reason.value


def _a_fifth(size: Size) -> Size:
    return max(1, size[0] // 5), max(1, size[1] // 5)


def _refused(name: str, error: RelayError) -> str:
    assert name in str(error)
    return "refused"


_TEXTS = (
    b"http://h/a.jpg\n# comment\n\nhttps://h/b.png?x=1#f\n",
    b'url,key,template\nhttp://h/a.jpg,"a ""b"".jpg",frame.png\n"http://h/\n",,\n',
    b'{"url": "http://h/a.jpg", "key": "a/b.jpg"}\n"http://h/c.jpg"\n{"url": 1}\n',
    "\ufeffurl;key\r\nhttp://h/ü.jpg;x\r\n".encode(),
)
MANIFEST_CORPUS = [*_TEXTS, *(gzip.compress(text) for text in _TEXTS)]
_SUFFIXES = (".txt", ".csv", ".jsonl", ".json", ".tsv", ".parquet", ".xlsx")


def manifest(data: bytes) -> str:
    """Any file gives rows in the order of its lines, or is refused as a whole with a sentence that names it."""
    last = bad = good = 0
    chosen = sum(data)
    packed = data.startswith(b"\x1f\x8b") is bool(chosen % 8)  # one in eight bears the wrong name
    name = "m" + _SUFFIXES[chosen % len(_SUFFIXES)] + (".gz" if packed else "")
    try:
        for row in read_manifest(io.BytesIO(data), name):
            assert row.line >= last if name.startswith("m.json") else row.line > last
            last = row.line
            if isinstance(row, BadRow):
                assert len(row.text) <= MAX_TEXT
                assert row.error
                bad += 1
            else:
                assert row.url.strip()
                assert "\n" not in row.url + (row.key or "")
                good += 1
    except RelayError as error:
        return _refused(name, error)
    return "rows" if good else "bad rows" if bad else "nothing"


URL_CORPUS = [
    b"http://user:pw@host.example:8080/a/b.jpg?x=1&y=%20#f",
    b"https://[2001:db8::1]:443/%E2%82%AC/../c",
    "http://bücher.example/ü b.jpg?q=ä".encode(),
    b"http://127.1/x;a=b?c",
    b"//host/x",
    b"../a/b.jpg",
    b"a/b/c-0123456789abcdef.jpg",
    b"_relay/x",
    b"http://xn--bcher-kva.example./",
]


def address(data: bytes) -> str:
    """Any text is a URL to ask for, or is refused; its default key is safe; it may stand in a Location."""
    text = data.decode("utf-8", "surrogateescape")
    key = default_key(text, "jpg")
    check_key(key)
    assert len(key.encode()) <= MAX_DEFAULT_KEY
    assert key.isascii()
    seen = [_outcome(lambda: check_key(text)), _outcome(lambda: resolve_redirect(parse_target("http://h/a/b"), text))]
    try:
        target = parse_target(text)
    except EntryFailure as failure:
        return f"{_told(failure)}, {' '.join(seen)}"
    parts = urlsplit(target.url)
    assert target.url.isascii()
    assert target.url.isprintable()
    assert parts.scheme in ("http", "https")
    assert parts.hostname == target.host
    assert "@" not in parts.netloc
    assert "#" not in target.url
    assert parse_target(target.url).url == target.url
    return f"asked for, {' '.join(seen)}"


def _outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except EntryFailure as failure:
        return _told(failure)
    return "sound"


@dataclass(frozen=True)
class Target:
    """`share` is the part of the time that it gets."""

    corpus: Callable[[], list[bytes]]
    run: Callable[[bytes], str]
    share: float


TARGETS = {
    "decode": Target(picture_corpus, decode, 0.7),
    "manifest": Target(lambda: MANIFEST_CORPUS, manifest, 0.15),
    "address": Target(lambda: URL_CORPUS, address, 0.15),
}
