"""What is fuzzed: each target takes bytes and returns a word for what came of them, or raises for a finding."""

import gzip
import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from PIL import Image

from imgrelay_dagster.demo.pictures import names, picture
from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.fetch.request_target import parse_target, resolve_redirect
from imgrelay_dagster.relay.imaging.decode import Source
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.formats.exif import Rights
from imgrelay_dagster.relay.imaging.formats.signatures import SourceFormat, recognise
from imgrelay_dagster.relay.imaging.kept import Keep, Kept, in_profile
from imgrelay_dagster.relay.imaging.layout import Fit, ScaledToFit
from imgrelay_dagster.relay.imaging.output import Format, Output, encode
from imgrelay_dagster.relay.keys import MAX_DEFAULT_KEY, check_key, default_key
from imgrelay_dagster.relay.manifest.reader import read_manifest
from imgrelay_dagster.relay.manifest.rows import MAX_TEXT, BadRow
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files

MAX_PIXELS = 2_000_000
RIGHTS = Rights(b"an artist", b"2026 somebody").exif()


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
    kept = {"exif": RIGHTS, "icc_profile": files.rgb_profile()}
    tiny = [
        files.encoded(small, "JPEG", **kept),
        files.encoded(small, "JPEG", progressive=True),
        files.encoded(small.convert("CMYK"), "JPEG", icc_profile=files.cmyk_profile()),
        files.encoded(alpha, "PNG", **kept),
        files.encoded(small, "WEBP", **kept),
        files.encoded(small, "AVIF", speed=10, **kept),
        files.encoded(small.quantize(50), "PNG", transparency=bytes(range(50))),
        files.encoded(alpha, "WEBP"),
        files.encoded(small, "WEBP", lossless=True, **frames),
        files.encoded(small, "GIF", comment="hello", transparency=3, **frames),
        files.encoded(alpha, "AVIF", speed=10),
    ]
    return [*smallest.values(), *tiny * 3]


@cache
def rarer_corpus() -> list[bytes]:
    """Tiny pictures in the formats that browsers do not show, or that few servers send."""
    small, alpha = files.noise((40, 30)), files.noise((40, 30), mode="RGBA")
    compressions = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    made = [
        *(files.encoded(small, "TIFF", compression=compression) for compression in compressions),
        files.encoded(small.convert("CMYK"), "TIFF", icc_profile=files.cmyk_profile()),
        files.encoded(small.convert("1"), "TIFF", compression="group4"),
        files.encoded(Image.new("I;16", (20, 20), 0x8000), "TIFF"),
        files.encoded(small, "BMP"),
        files.encoded(small.quantize(16), "BMP"),
        files.encoded(alpha, "BMP"),
        files.bmp_with_masks(alpha, (0xF00, 0xF0, 0xF, 0xF000)),
        files.encoded(alpha, "ICO", sizes=[(16, 16), (24, 24)]),
        files.encoded(alpha, "ICO", sizes=[(16, 16), (24, 24)], bitmap_format="bmp"),
        files.encoded(alpha, "JPEG2000"),
        files.encoded(small, "JPEG2000", no_jp2=True, irreversible=True, quality_mode="dB", quality_layers=[30]),
    ]
    with suppress(ImportError):
        import pillow_heif  # an extra

        for image in (small, alpha):
            made.append(files.saved(pillow_heif.from_pillow(image).save, quality=80))
    with suppress(ImportError):
        import pillow_jxl  # noqa: F401 - an extra, which lets Pillow write JPEG XL

        made += [
            files.encoded(image, "JXL", use_container=boxes) for image in (small, alpha) for boxes in (False, True)
        ]
    return made


@cache
def decoders() -> DecoderPool:
    """The processes for pictures whose cost is not known, as in a run."""
    return DecoderPool()


def decode(data: bytes) -> str:
    """Any body gives an upright picture in RGB or RGBA within the limit, or a failure with a sentence."""
    target = ScaledToFit((32, 32), Fit.COVER) if len(data) % 2 else None
    keep = tuple(Keep) if len(data) % 3 else ()
    try:
        source = Source.inspect(data, MAX_PIXELS)
        decoded = source.decode(target, keep) if source.cost.is_bounded else decoders().decode(source, target, keep)
    except EntryFailure as failure:
        return "decoder crashed" if "crashes its decoder" in failure.detail else _told(failure)
    image = decoded.image
    assert image.mode in ("RGB", "RGBA")
    assert image.width * image.height <= MAX_PIXELS
    assert len(image.tobytes()) == image.width * image.height * len(image.mode)
    return write_with(decoded.kept) if decoded.kept != Kept() else "picture"


def write_with(kept: Kept) -> str:
    """An image is stored with what is kept of any source, and can be read again."""
    image = Image.new("RGBA", (2, 2), "#80c0ff")
    if kept.profile:
        image = in_profile(image, kept.profile)
    for output_format in (Format.JPEG, Format.PNG, Format.WEBP, Format.AVIF):
        output = Output(format=output_format)
        written = encode(image.convert("RGB"), output, metadata=kept.encoder_options())
        Source.inspect(written, MAX_PIXELS).decode(keep=tuple(Keep))
    return "picture with kept metadata"


def _told(failure: EntryFailure) -> str:
    assert failure.reason is not Reason.INTERNAL_ERROR
    assert 10 < len(failure.detail) < 500
    assert failure.detail.isprintable()
    return failure.reason.value


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


def _of_format(*formats: SourceFormat) -> Callable[[], list[bytes]]:
    """The pictures of both corpora that are of these formats."""

    @cache
    def corpus() -> list[bytes]:
        return [data for data in (*picture_corpus(), *rarer_corpus()) if recognise(data) in formats]

    return corpus


@dataclass(frozen=True)
class Target:
    """`share` is the part of the time that it gets; a target with none runs only when it is named."""

    corpus: Callable[[], list[bytes]]
    run: Callable[[bytes], str]
    share: float


TARGETS = {
    "decode": Target(picture_corpus, decode, 0.5),
    "rarer": Target(rarer_corpus, decode, 0.2),
    "manifest": Target(lambda: MANIFEST_CORPUS, manifest, 0.15),
    "address": Target(lambda: URL_CORPUS, address, 0.15),
    "avif": Target(_of_format(SourceFormat.AVIF), decode, 0),
    "heif": Target(_of_format(SourceFormat.HEIC), decode, 0),
    "tiff": Target(_of_format(SourceFormat.TIFF), decode, 0),
    "jxl": Target(_of_format(SourceFormat.JPEG_XL), decode, 0),
    "jpeg2000": Target(_of_format(SourceFormat.JPEG_2000), decode, 0),
    "bmp-ico": Target(_of_format(SourceFormat.BMP, SourceFormat.ICO), decode, 0),
}
