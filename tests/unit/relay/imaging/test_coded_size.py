"""A file may state another size than its pixels are coded in: the coded size counts, or the difference is refused.

`test_avif.py` and `test_heic.py` do the same for these formats. The other formats state one size only.
"""

import struct

import pillow_jxl  # noqa: F401 - lets Pillow write JPEG XL
import pytest

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import Source, open_source
from imgrelay_dagster.relay.imaging.formats import webp_large
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files
from tests.support.avif_files import box

CODED, STATED = (640, 480), (64, 48)
LIMIT = 640 * 480

JP2 = files.encoded(files.noise(CODED), "JPEG2000")
JXL = files.encoded(files.noise(CODED), "JXL")
JXL_START = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")


def jp2_with_stated_size(size: tuple[int, int]) -> bytes:
    """The image header states another size than the codestream (ITU-T T.800, I.5.3.1)."""
    changed, at = bytearray(JP2), JP2.index(b"ihdr")
    struct.pack_into(">II", changed, at + 4, size[1], size[0])
    return bytes(changed)


def jp2_with_another_start() -> bytes:
    """A box before the codestream has the first bytes of another one, which is smaller."""
    small = files.encoded(files.noise(STATED), "JPEG2000", no_jp2=True)[:51]
    at = JP2.index(b"jp2c") - 4
    return JP2[:at] + box(b"uuid", bytes(16) + small) + JP2[at:]


def webp(size: tuple[int, int], chunks: bytes, flags: int = 0) -> bytes:
    """An extended WebP with a canvas of this size (RFC 9649, 2.7)."""
    header = bytes([flags, 0, 0, 0]) + _sides(size)
    body = b"WEBP" + b"VP8X" + struct.pack("<I", len(header)) + header + chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


def frame(size: tuple[int, int], image: bytes) -> bytes:
    """The first frame of an animation, with the size that it states (2.7.1.1)."""
    content = bytes(6) + _sides(size) + bytes(4) + image
    return b"ANIM" + struct.pack("<I", 6) + bytes(6) + b"ANMF" + struct.pack("<I", len(content)) + content


def _sides(size: tuple[int, int]) -> bytes:
    return b"".join((side - 1).to_bytes(3, "little") for side in size)


LOSSY, LOSSLESS = (files.encoded(files.noise(CODED), "WEBP", lossless=lossless)[12:] for lossless in (False, True))
WEBPS = {
    "lossy, smaller canvas": webp(STATED, LOSSY),
    "lossless, smaller canvas": webp(STATED, LOSSLESS),
    "larger canvas": webp((641, 480), LOSSY),
    "animation, smaller frame": webp(STATED, frame(STATED, LOSSY), flags=2),
    "animation, smaller canvas": webp(STATED, frame(CODED, LOSSLESS), flags=2),
}

REFUSED = {
    "JP2 that states less": jp2_with_stated_size(STATED),
    "JP2 that states more": jp2_with_stated_size((16_000, 12_000)),
    **{f"WebP, {name}": data for name, data in WEBPS.items()},
    "JPEG XL with two codestreams": JXL_START
    + box(b"jxlc", files.encoded(files.noise(STATED), "JXL")[:40])
    + box(b"jxlc", JXL),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_difference_is_refused(name: str) -> None:
    with pytest.raises(EntryFailure) as caught:
        open_source(REFUSED[name], LIMIT + 480)
    assert caught.value.reason is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("name", [name for name in REFUSED if name.startswith("JP2")])
def test_a_jp2_is_refused_before_it_is_decoded(name: str) -> None:
    with pytest.raises(EntryFailure, match=r"states \d+x\d+ pixels, its codestream 640x480"):
        Source.inspect(REFUSED[name], LIMIT)


@pytest.mark.parametrize("data", WEBPS.values(), ids=WEBPS)
def test_the_decoder_of_large_webps_refuses_the_same(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webp_large, "MIN_PIXELS", 0)
    with pytest.raises(EntryFailure) as caught:
        open_source(data, LIMIT + 480)
    assert caught.value.reason is Reason.CORRUPT_IMAGE


def icon(**options: str) -> bytes:
    """An icon of 128x96 pixels whose directory states 16x12."""
    data = files.encoded(files.noise((128, 96)), "ICO", sizes=[(128, 96)], **options)
    return data[:6] + b"\x10\x0c" + data[8:]


def gif_with_a_small_screen() -> bytes:
    data = files.encoded(files.noise(CODED).quantize(16), "GIF")
    return data[:6] + struct.pack("<HH", *STATED) + data[10:]


COUNTED = {
    "JP2 with another codestream's start": (jp2_with_another_start(), CODED),
    "GIF with a smaller screen": (gif_with_a_small_screen(), CODED),
    "ICO with a PNG": (icon(), (128, 96)),
    "ICO with a bitmap": (icon(bitmap_format="bmp"), (128, 96)),
    "JPEG XL in parts": (
        JXL_START
        + box(b"jxlp", struct.pack(">I", 0))
        + box(b"jxlp", struct.pack(">I", 1) + JXL[:3])
        + box(b"jxlp", struct.pack(">I", 0x8000_0002) + JXL[3:]),
        CODED,
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_the_coded_size_counts(name: str) -> None:
    data, size = COUNTED[name]
    pixels = size[0] * size[1]
    assert open_source(data, pixels).size == size
    with pytest.raises(EntryFailure) as caught:
        Source.inspect(data, pixels - 1)
    assert caught.value.reason is Reason.TOO_MANY_PIXELS
