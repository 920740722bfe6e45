"""BMP, TIFF, ICO, JPEG 2000, HEIC and JPEG XL, and the names of bodies that are none of them."""

import io
import struct

import pillow_heif
import pillow_jxl  # noqa: F401 - lets Pillow write JPEG XL
import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import Source, open_source
from imgrelay_dagster.relay.imaging.formats import heif, jxl
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files
from tests.support.damaged_pictures import exif_orientation, two_colors

LIMIT = 1_000_000
PICTURE = two_colors((64, 48))


def heic(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95, chroma=444, **options)
    return buffer.getvalue()


FILES = {
    "BMP": files.encoded(PICTURE, "BMP"),
    "BMP of 4 bits a channel": files.bmp_with_masks(PICTURE, (0xF00, 0xF0, 0xF)),
    "BMP of 10 bits a channel": files.bmp_with_masks(PICTURE, (0x3FF00000, 0xFFC00, 0x3FF), bits=32),
    "BMP palette": files.encoded(PICTURE.quantize(8), "BMP"),
    **{
        f"TIFF {compression}": files.encoded(PICTURE, "TIFF", compression=compression)
        for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    },
    "TIFF CMYK": files.encoded(PICTURE.convert("CMYK"), "TIFF"),
    "TIFF big endian": files.encoded(PICTURE, "TIFF", big_endian=True),
    "TIFF of two pages": files.encoded(PICTURE, "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]),
    "JPEG 2000": files.encoded(PICTURE, "JPEG2000"),
    "JPEG 2000 codestream": files.encoded(PICTURE, "JPEG2000", no_jp2=True),
    "HEIC": heic(PICTURE),
    "JPEG XL": files.encoded(PICTURE, "JXL", lossless=True),
    "JPEG XL in boxes": files.encoded(PICTURE, "JXL", lossless=True, use_container=True),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_is_decoded(name: str) -> None:
    image = open_source(FILES[name], LIMIT)
    assert (image.mode, image.size, image.info) == ("RGB", (64, 48), {})
    for at, color in (((5, 5), (40, 60, 200)), ((60, 44), (200, 60, 40))):
        found = image.getpixel(at)
        assert isinstance(found, tuple)
        assert max(abs(a - b) for a, b in zip(found, color, strict=True)) <= 8


@pytest.mark.parametrize("name", [name for name in FILES if name != "HEIC"])  # HEIC is coded in blocks of 64 pixels
def test_size_limit_holds_before_a_decoder_is_called(name: str) -> None:
    with pytest.raises(EntryFailure, match="64x48 = 3072 pixels; the limit is 3071"):
        Source.inspect(FILES[name], 3071)


@pytest.mark.parametrize("name", FILES)
def test_half_a_file_is_corrupt(name: str) -> None:
    with pytest.raises(EntryFailure) as caught:
        open_source(FILES[name][: len(FILES[name]) // 2], LIMIT)
    assert caught.value.reason in (Reason.CORRUPT_IMAGE, Reason.TOO_COSTLY)


def test_largest_picture_of_an_icon() -> None:
    sizes = [(16, 16), (48, 48), (32, 32)]
    for options in ({}, {"bitmap_format": "bmp"}):
        icon = files.encoded(Image.new("RGBA", (48, 48), (9, 8, 7, 255)), "ICO", sizes=sizes, **options)
        assert open_source(icon, LIMIT).size == (48, 48)


def test_transparency_of_a_bmp_with_unusual_masks() -> None:
    pixel = Image.new("RGBA", (3, 2), (255, 0, 85, 170))
    image = open_source(files.bmp_with_masks(pixel, (0xF00, 0xF0, 0xF, 0xF000)), LIMIT)
    assert files.pixels(image) == [(255, 0, 85, 170)] * 6


def test_sixteen_bit_gray_tiff_is_scaled() -> None:
    data = files.encoded(Image.new("I;16", (8, 8), 0x8000), "TIFF")
    assert files.pixels(open_source(data, LIMIT)) == [(128, 128, 128)] * 64


@pytest.mark.parametrize("mode", ["F", "I"])
def test_tiff_of_32_bits_a_sample_is_refused(mode: str) -> None:
    with pytest.raises(EntryFailure, match="32 bits a sample are not supported") as caught:
        open_source(files.encoded(Image.new(mode, (8, 8), 1), "TIFF"), LIMIT)
    assert caught.value.reason is Reason.CORRUPT_IMAGE


def test_orientation_is_applied_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for data in (
        files.encoded(PICTURE, "TIFF", tiffinfo={0x0112: 6}),
        heic(PICTURE, exif=b"Exif\0\0" + exif_orientation(6)),
    ):
        image = open_source(data, LIMIT)
        assert image.size == (48, 64)


def test_code_points_of_a_heic_are_converted() -> None:
    data = heic(Image.new("RGB", (64, 64), (200, 60, 50)), color_primaries=12, transfer_characteristics=13)
    assert files.largest_difference(open_source(data, LIMIT), [(219, 41, 39)] * 4096) <= 2


@pytest.mark.parametrize(
    ("name", "module", "detail"),
    [
        ("HEIC", heif, "the body is a HEIC picture; install imgrelay-dagster[heif]"),
        ("JPEG XL", jxl, "the body is a JPEG XL picture; install imgrelay-dagster[jxl]"),
    ],
)
def test_missing_extra_is_named(name: str, module: object, detail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MODULE", "no_such_module")
    with pytest.raises(EntryFailure) as caught:
        open_source(FILES[name], LIMIT)
    assert (caught.value.reason, caught.value.detail) == (Reason.UNSUPPORTED_FORMAT, detail)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"%PDF-1.7\n", "a PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg/>", "SVG"),
        (b"\xef\xbb\xbf <!DOCTYPE html><html>", "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b'{"error": "not found"}', "JSON"),
        (struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"mp42"), "a video (MP4 or QuickTime)"),
        (b"\x1aE\xdf\xa3" + bytes(20), "a video (Matroska or WebM)"),
        (b"8BPS\0\1", "a Photoshop document"),
        ("Zugriff verweigert: Schlüssel fehlt\r\n".encode(), "text"),
        (("a" + "ü" * 600).encode(), "text"),  # what is examined ends within a character
        (b"{\\rtf1\\ansi", "an RTF document"),
        (b"\0\0\x0f\x17moov", "a video (MP4 or QuickTime)"),
        (b"MM\0+\0\x08\0\0", "a big-endian BigTIFF"),
        (files.encoded(PICTURE, "TGA"), "a Targa picture (TGA)"),
        (files.encoded(PICTURE, "TGA", compression="tga_rle"), "a Targa picture (TGA)"),
        (b"\0\0\2\0\1\0 \0\0\0\0\0", "a mouse cursor (CUR)"),
        (files.encoded(PICTURE, "PPM"), "a Netpbm picture (PPM)"),
        (files.encoded(PICTURE, "DDS"), "a texture (DDS)"),
    ],
)
def test_other_bodies_are_named(body: bytes, name: str) -> None:
    with pytest.raises(EntryFailure) as caught:
        open_source(body, LIMIT)
    assert caught.value.reason is Reason.UNSUPPORTED_FORMAT
    assert caught.value.detail.startswith(f"the body looks like {name}; supported formats are JPEG, PNG")


@pytest.mark.parametrize("body", [b"\x81\x82\x83", b"kurz \0", "ü".encode()[:1] + b" rest"])
def test_bytes_are_shown_of_bodies_that_are_no_text(body: bytes) -> None:
    with pytest.raises(EntryFailure, match=f"the body begins with bytes {body[:8].hex(' ')}"):
        open_source(body, LIMIT)
