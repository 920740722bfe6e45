"""The window of a template, and a picture fitted into it."""

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.compose import Format, JpegOptions, Output
from imgrelay_dagster.relay.imaging.layout import Canvas, Fit, Layout
from imgrelay_dagster.relay.imaging.window import AUTO, Window, find_window, parse_window
from imgrelay_dagster.relay.settings import Settings
from tests.support import composing


def card() -> Image.Image:
    """A blue card of 100x100 pixels with a hole, and a smaller one."""
    image = Image.new("RGBA", (100, 100), (0, 0, 255, 255))
    image.paste((0, 0, 0, 0), (10, 5, 90, 65))
    image.paste((0, 0, 0, 0), (10, 80, 30, 90))
    return image


@pytest.mark.parametrize("value", [AUTO, {"x": 10, "y": 5, "width": "80%", "height": 60}])
def test_picture_is_fitted_into_the_window(value: object) -> None:
    layout = Layout(canvas=Canvas.TEMPLATE, fit=Fit.CONTAIN, window=parse_window(value))
    image = composing.compose_and_open(Image.new("RGB", (30, 60), "red"), composing.make_template(card()), layout)
    red = image.convert("RGB").point(lambda level: 255 * (level > 128)).split()[0]
    assert image.size == (100, 100)
    assert image.convert("RGB").getpixel((50, 6)) == (255, 0, 0)
    assert image.convert("RGB").getpixel((50, 63)) == (255, 0, 0)
    assert image.convert("RGB").getpixel((12, 35)) == (255, 255, 255)
    assert image.convert("RGB").getpixel((50, 70)) == (0, 0, 255)
    assert red.getbbox() == (10, 5, 90, 65) or red.getbbox() == (10, 5, 90, 90)


def test_largest_hole_is_found_around_corners() -> None:
    assert find_window(card()) == (10, 5, 90, 65)
    joined = card()
    joined.paste((0, 0, 0, 0), (20, 60, 25, 85))
    assert find_window(joined) == (10, 5, 90, 90)
    assert find_window(Image.new("RGBA", (8, 6), "red")) == (0, 0, 8, 6)


@pytest.mark.parametrize("value", ["full", {"x": 1}, {"x": "a", "y": 0, "width": 1, "height": 1}, 7])
def test_invalid_window_is_refused(value: object) -> None:
    with pytest.raises(RelayError, match="layout window"):
        parse_window(value)


def test_window_outside_the_template_is_refused() -> None:
    with pytest.raises(RelayError, match="not a box inside the template of 100x50 pixels"):
        Window("50%", "0", "60", "10").resolve((100, 50))


def test_fields_added_later_leave_fingerprints_as_they_were() -> None:
    settings = Settings(dataset="d", destination="/d")
    function = settings.fingerprint_function()
    assert set(function.keywords["layout"]) == {"mode", "canvas", "fit", "anchor", "scale", "margin", "opacity"}
    assert set(function.keywords["output"]) == {"format", "quality", "png_compress_level", "background"}
    other = Settings(dataset="d", destination="/d", layout=Layout(window=AUTO, focus="north"))
    assert {"window", "focus"} <= set(other.fingerprint_function().keywords["layout"])


def test_avif_and_jpeg_options_are_encoded() -> None:
    picture, template = Image.new("RGB", (40, 30), "red"), composing.transparent_template((4, 4))
    avif = composing.compose_and_open(picture, template, output=Output(Format.AVIF, quality=80, speed=8))
    assert avif.format == "AVIF"
    options = JpegOptions(progressive=True, subsampling="4:4:4", optimize=True)
    jpeg = composing.compose_and_open(picture, template, output=Output(Format.JPEG, jpeg_options=options))
    assert jpeg.info.get("progressive")
