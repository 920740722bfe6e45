"""What `output.keep` keeps of a source: its copyright and artist, or its colour profile."""

import io
from typing import Any

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.compose import Format, Output, Template, compose, compose_source
from imgrelay_dagster.relay.imaging.decode import Source
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.formats import exif
from imgrelay_dagster.relay.imaging.formats.exif import Rights
from imgrelay_dagster.relay.imaging.layout import Canvas, Fit, Layout
from tests.support import picture_files as files
from tests.support.composing import make_template, transparent_template

ARTIST, COPYRIGHT, ORIENTATION, DESCRIPTION = 0x013B, 0x8298, 0x0112, 0x010E
RIGHTS = {ARTIST: "Ada", COPYRIGHT: "© Ada 2026"}
WRITTEN = [Format.JPEG, Format.PNG, Format.WEBP, Format.AVIF]
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
WIDE = files.rgb_profile(P3, gamma=2.2)


def source(file_format: str, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    data = Image.Exif()
    for tag, text in RIGHTS.items():
        data[tag] = text
    data[DESCRIPTION] = "SECRET"
    return files.encoded(files.noise(size), file_format, exif=data, **options)


def stored(data: bytes, output: Output, template: Template | None = None, layout: Layout | None = None) -> Image.Image:
    template = template or transparent_template((4, 4))
    composed = compose(data, template, layout or Layout(), output, max_pixels=10**6)
    assert b"SECRET" not in composed.data
    return Image.open(io.BytesIO(composed.data))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("written", WRITTEN)
def test_copyright_and_artist_are_kept_and_nothing_else(file_format: str, written: Format) -> None:
    kept = exif.rights(
        exif.without_prefix(stored(source(file_format), Output(written, keep=("copyright",))).info["exif"])
    )
    assert kept.artist == b"Ada"
    assert kept.copyright.decode("utf-8", "replace").endswith("Ada 2026")
    assert "exif" not in stored(source(file_format), Output(written)).info


@pytest.mark.parametrize("rights", [Rights(), Rights(b"A"), Rights(b"", b"Abcd"), Rights(b"Odd", b"Even text")])
def test_rights_are_read_as_they_were_written(rights: Rights) -> None:
    data = rights.exif()
    assert exif.rights(exif.without_prefix(data)) == rights
    if data:
        found = Image.Exif()
        found.load(data)
        assert found.get(COPYRIGHT, "") == rights.copyright.decode()
        assert found.get(ARTIST, "") == rights.artist.decode()


@pytest.mark.parametrize("data", [b"", b"II*\0", b"MM\0*\0\0\0\x08\xff\xff", Rights(b"long enough").exif()[6:30]])
def test_broken_exif_holds_no_rights(data: bytes) -> None:
    assert exif.rights(data).copyright == b""
    assert exif.orientation(data) == 1


@pytest.mark.parametrize("written", WRITTEN)
def test_profile_is_kept_and_template_and_background_are_converted_to_it(written: Format) -> None:
    data = files.encoded(Image.new("RGB", (40, 20), (200, 60, 40)), "PNG", icc_profile=WIDE)
    card = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    card.paste((255, 0, 0, 255), (0, 0, 40, 5))
    layout = Layout(canvas=Canvas.TEMPLATE, fit=Fit.CONTAIN)
    output = Output(written, quality=100, background="lime", keep=("icc",))
    image = stored(data, output, make_template(card), layout)
    assert image.info["icc_profile"] == WIDE
    plain = image.convert("RGB")
    found = [plain.getpixel(at) for at in ((20, 2), (20, 20), (20, 37))]
    expected = [(233, 51, 35), (200, 60, 40), (117, 251, 76)]  # red and lime of sRGB in Display P3
    for actual, right in zip(found, expected, strict=True):
        assert isinstance(actual, tuple)
        assert max(abs(a - b) for a, b in zip(actual, right, strict=True)) <= 6
    converted = stored(data, Output(written, quality=100, background="lime"), make_template(card), layout)
    assert "icc_profile" not in converted.info


@pytest.mark.parametrize(
    ("image", "profile"),
    [
        (files.noise((20, 20), mode="CMYK"), files.cmyk_profile()),
        (files.noise((20, 20), mode="L"), files.gray_profile(1.8)),
        (files.noise((20, 20)), b"no profile"),
        (files.noise((20, 20)), None),
    ],
)
def test_image_without_an_rgb_profile_is_converted(image: Image.Image, profile: bytes | None) -> None:
    data = files.encoded(image, "JPEG", icc_profile=profile)
    kept = stored(data, Output(Format.PNG, keep=("icc", "copyright")))
    assert "icc_profile" not in kept.info
    assert kept.tobytes() == stored(data, Output(Format.PNG)).tobytes()


def test_decoder_process_keeps_the_same() -> None:
    found = Source.inspect(source("JPEG", icc_profile=WIDE), 10**6)
    output, template = Output(keep=("copyright", "icc")), transparent_template((4, 4))
    with DecoderPool() as decoders:
        elsewhere = compose_source(found, template, Layout(), output, decoders=decoders)
    assert elsewhere == compose_source(found, template, Layout(), output)
    assert Image.open(io.BytesIO(elsewhere.data)).info["icc_profile"] == WIDE


def test_unknown_part_is_refused() -> None:
    with pytest.raises(RelayError, match="output keep 'gps' is not one of copyright, icc"):
        Output(keep=("gps",))
