"""Decoding malicious and damaged files: bombs, truncated files and flipped bits."""

import io
import random
import struct
import subprocess
import sys
import zlib
from collections import Counter

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import open_source
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files

LIMIT = 50_000_000

PROGRAM = """
import sys
from imgrelay_dagster.relay.imaging.decode import open_source
from imgrelay_dagster.relay.errors import EntryFailure

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

body = sys.stdin.buffer.read()
before = peak()
try:
    open_source(body, 50_000_000)
    print("opened", peak() - before)
except EntryFailure as failure:
    print(failure.reason.value, peak() - before)
"""
"""Decodes standard input; prints the outcome and the growth of peak memory in kB."""


def deflated_zeros(megabytes: int) -> bytes:
    """A zlib stream (RFC 1950) of this many MiB of zeros. Its blocks are equal, so only one is compressed."""
    stream = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)
    checksum = (megabytes << 20) % 65521 << 16 | 1
    return b"\x78\xda" + block * megabytes + b"\x03\0" + checksum.to_bytes(4, "big")


def png_of(size: tuple[int, int], pixels: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", *size, 1, 0, 0, 0, 0))
    chunks = [header, *extra, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(files.png_chunk(*chunk) for chunk in chunks)


def jpeg_bomb() -> bytes:
    data = bytearray(files.encoded(Image.new("RGB", (8, 8)), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


def webp_bomb(kind: bytes) -> bytes:
    if kind == b"VP8X":
        data = bytearray(files.encoded(Image.new("RGBA", (8, 8), (9, 9, 9, 9)), "WEBP"))
        data[24:30] = b"\xff\x3f\0\xff\x3f\0"
    else:
        lossless = kind == b"VP8L"
        data = bytearray(files.encoded(Image.new("RGB", (8, 8)), "WEBP", lossless=lossless))
        at = 21 if lossless else 26
        data[at : at + 4] = b"\xff\xff\xff\x0f" if lossless else b"\xff\x3f\xff\x3f"
    assert data[12:16] == kind
    return bytes(data)


def gif_bomb(*, small_screen: bool) -> bytes:
    data = bytearray(files.encoded(Image.new("P", (8, 8)), "GIF"))
    at = data.index(b",") + 5 if small_screen else 6
    data[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


def avif_bomb(side: int) -> bytes:
    data = bytearray(files.encoded(Image.new("RGB", (64, 64)), "AVIF"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", side, side)
    return bytes(data)


def text_bomb(kind: bytes) -> bytes:
    packed = zlib.compress(b"x" * (1 << 20), 9)
    between = {b"zTXt": b"\0\0", b"iTXt": b"\0\1\0\0\0"}[kind]
    texts = [(kind, b"key%d" % at + between + packed) for at in range(60)]
    return png_of((8, 8), zlib.compress(bytes(16)), *texts)


BOMBS = {
    "png 50,000 x 50,000": (png_of((50_000, 50_000), deflated_zeros(298)), Reason.TOO_MANY_PIXELS),
    "png of no pixels for its size": (png_of((2**31 - 1, 2**31 - 1), b""), Reason.TOO_MANY_PIXELS),
    "jpeg": (jpeg_bomb(), Reason.TOO_MANY_PIXELS),
    "webp lossy": (webp_bomb(b"VP8 "), Reason.TOO_MANY_PIXELS),
    "webp lossless": (webp_bomb(b"VP8L"), Reason.TOO_MANY_PIXELS),
    "webp extended": (webp_bomb(b"VP8X"), Reason.TOO_MANY_PIXELS),
    "gif screen": (gif_bomb(small_screen=False), Reason.TOO_MANY_PIXELS),
    "gif frame beyond its screen": (gif_bomb(small_screen=True), Reason.TOO_MANY_PIXELS),
    "avif": (avif_bomb(16_000), Reason.TOO_MANY_PIXELS),
    "avif that libavif refuses": (avif_bomb(60_000), Reason.TOO_MANY_PIXELS),
    "png text": (text_bomb(b"zTXt"), "opened"),
    "png international text": (text_bomb(b"iTXt"), "opened"),
    "png one huge text": (
        png_of((8, 8), zlib.compress(bytes(16)), (b"zTXt", b"key\0\0" + deflated_zeros(500))),
        "opened",
    ),
    "png huge profile": (
        png_of((8, 8), zlib.compress(bytes(16)), (b"iCCP", b"name\0\0" + deflated_zeros(500))),
        "opened",
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory from /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_bomb_takes_little_memory_and_prints_nothing(name: str) -> None:
    data, reason = BOMBS[name]
    assert len(data) < 1_000_000
    child = subprocess.run([sys.executable, "-c", PROGRAM], input=data, capture_output=True, timeout=60, check=True)
    outcome, growth = child.stdout.split()
    assert outcome.decode() == reason
    assert int(growth) < 24_000, "kB"
    assert child.stderr == b""


def samples() -> dict[str, bytes]:
    """Return a file of every format, with as many of its features as Pillow can write."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    picture, alpha = files.noise((64, 48)), files.noise((64, 48), mode="RGBA")
    extras = {"exif": exif, "icc_profile": files.rgb_profile()}
    frames = {"save_all": True, "append_images": [picture.rotate(90)], "duration": 40}
    cmyk = {"exif": exif, "icc_profile": files.cmyk_profile()}
    return {
        "JPEG": files.encoded(picture, "JPEG", comment="hello", **extras),
        "JPEG progressive CMYK": files.encoded(picture.convert("CMYK"), "JPEG", progressive=True, **cmyk),
        "PNG": files.encoded(alpha, "PNG", **extras),
        "PNG palette": files.encoded(picture.quantize(50), "PNG", transparency=bytes(range(50))),
        "PNG 16 bit": files.encoded(Image.new("I;16", (64, 48), 999), "PNG", transparency=999),
        "WebP": files.encoded(alpha, "WEBP", **extras),
        "WebP lossless animation": files.encoded(picture, "WEBP", lossless=True, **frames),
        "GIF": files.encoded(picture, "GIF", comment="hello", transparency=3, **frames),
        "AVIF": files.encoded(alpha, "AVIF", speed=10, **extras),
    }


SAMPLES = samples()


def outcome(data: bytes) -> str:
    """Decode; return `picture` or the reason of the failure. Any other exception fails the test."""
    try:
        image = open_source(data, 1_000_000)
    except EntryFailure as failure:
        return failure.reason if 10 < len(failure.detail) < 250 else f"detail too short or too long: {failure.detail}"
    assert image.mode in ("RGB", "RGBA")
    assert len(image.tobytes()) == image.width * image.height * len(image.mode)
    return "picture"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLES)
def test_flipped_bits_give_a_picture_or_corrupt_image(name: str) -> None:
    rng = random.Random(name)
    outcomes: Counter[str] = Counter()
    for _ in range(150):
        data = bytearray(SAMPLES[name])
        # Half of the flips are in the first 600 bytes, which hold the structure; the signature is not changed.
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(16, 600 if rng.random() < 0.5 else len(data))
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        outcomes[outcome(bytes(data))] += 1
    assert set(outcomes) <= {"picture", Reason.CORRUPT_IMAGE, Reason.TOO_MANY_PIXELS}
    assert outcomes[Reason.CORRUPT_IMAGE] > 0
    assert outcomes["picture"] > 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLES)
def test_file_truncated_in_its_first_half_is_corrupt(name: str) -> None:
    data = SAMPLES[name]
    # The second half of an animation may hold no part of the first frame.
    end = data.find(b"ANMF", data.find(b"ANMF") + 4) if "animation" in name else len(data)
    lengths = range(13, end // 2, max(1, end // 80))
    assert {outcome(data[:length]) for length in lengths} == {Reason.CORRUPT_IMAGE}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLES)
def test_file_truncated_near_its_end_is_a_picture_or_corrupt(name: str) -> None:
    data = SAMPLES[name]
    results = {outcome(data[:-length]) for length in range(1, 60)}
    assert results <= {"picture", Reason.CORRUPT_IMAGE}


def test_header_that_contradicts_the_image_is_corrupt() -> None:
    data = files.encoded(Image.new("RGB", (64, 48)), "JPEG")
    at = data.index(b"\xff\xc0")
    frame = bytearray(data[at : at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]])
    frame[5:9] = struct.pack(">HH", 16, 16)
    with pytest.raises(EntryFailure, match="states 16x16 pixels") as caught:
        open_source(data[:at] + bytes(frame) + data[at:], LIMIT)
    assert caught.value.reason == Reason.CORRUPT_IMAGE


def test_interrupt_while_decoding_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    class InterruptedFile(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise KeyboardInterrupt

    monkeypatch.setattr("imgrelay_dagster.relay.imaging.formats.png.io.BytesIO", InterruptedFile)
    with pytest.raises(KeyboardInterrupt):
        open_source(SAMPLES["PNG"], LIMIT)
