"""The window of a template, and a picture fitted into it."""

from typing import Any

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.compose import Format, JpegOptions, Output
from imgrelay_dagster.relay.imaging.layout import Canvas, Fit, Layout
from imgrelay_dagster.relay.imaging.template import Template
from imgrelay_dagster.relay.imaging.window import AUTO, Window, find_window, parse_window
from imgrelay_dagster.relay.planning.found_windows import FoundWindows
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
    entry = {"url": "http://h/a.jpg", "template_digest": "0" * 64}
    plain = fingerprint_of(entry)
    assert plain == "c4b68926b55f82c2d78988a40f311aa0fd384217c779a236b0b01abdaee16593"
    for changed in (
        {"layout": Layout(window=AUTO)},
        {"layout": Layout(focus="north")},
        {"output": Output(max_output_bytes=9)},
        {"output": Output(min_quality=9)},
    ):
        assert fingerprint_of(entry, **changed) != plain


def fingerprint_of(entry: dict[str, str], **settings: Any) -> str:
    return Settings(dataset="d", destination="/d", **settings).fingerprint_function()(**entry)


def test_own_focus_of_an_entry_is_part_of_its_fingerprint() -> None:
    entry = {"url": "http://h/a.jpg", "template_digest": "0" * 64}
    layout = Layout(canvas=Canvas.TEMPLATE, focus="north")
    assert fingerprint_of({**entry, "focus": "north"}) == fingerprint_of(entry, layout=Layout(focus="north"))
    assert fingerprint_of({**entry, "focus": "0.3,0.6"}, layout=layout) != fingerprint_of(entry, layout=layout)
    assert fingerprint_of({**entry, "focus": "north"}, layout=layout) == fingerprint_of(entry, layout=layout)


def test_window_that_was_found_is_told_once_for_each_template() -> None:
    notes: list[str] = []
    warnings: list[str] = []
    windows = FoundWindows(Layout(canvas=Canvas.TEMPLATE, window=AUTO), notes.append, warnings.append)
    template = composing.make_template(card())
    windows.note(template)
    windows.note(template)
    assert notes == [
        f"template {template.name!r}: window auto is {{x: 10, y: 5, width: 80, height: 60}} of 100x100 pixels"
    ]
    opaque = Template("opaque.png", "", Image.new("RGBA", (8, 6), "red"))
    windows.note(opaque)
    assert len(warnings) == 1
    assert "'opaque.png': window auto found no hole" in warnings[0]
    FoundWindows(Layout(window=AUTO), notes.append, warnings.append).note(opaque)
    assert (len(notes), len(warnings)) == (1, 1)


def test_avif_and_jpeg_options_are_encoded() -> None:
    picture, template = Image.new("RGB", (40, 30), "red"), composing.transparent_template((4, 4))
    avif = composing.compose_and_open(picture, template, output=Output(Format.AVIF, quality=80, speed=8))
    assert avif.format == "AVIF"
    options = JpegOptions(progressive=True, subsampling="4:4:4", optimize=True)
    jpeg = composing.compose_and_open(picture, template, output=Output(Format.JPEG, jpeg_options=options))
    assert jpeg.info.get("progressive")
