"""Composing: the right pixels at the right position, in every mode and with every fit."""

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.compose import Format, Output, compose
from imgrelay_dagster.relay.imaging.layout import Anchor, Canvas, Fit, Layout, Mode
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files
from tests.support.composing import TRANSPARENT, compose_and_open, make_template, transparent_template
from tests.support.damaged_pictures import lossless_jpeg

TEMPLATE_CANVAS = Layout(canvas=Canvas.TEMPLATE)


def source_over(top: files.Pixel, bottom: files.Pixel) -> files.Pixel:
    """Composite two pixels (Porter-Duff source-over, straight 8-bit alpha); an RGB bottom gives RGB."""
    if len(bottom) == 3:
        return tuple(round((t * top[3] + b * (255 - top[3])) / 255) for t, b in zip(top[:3], bottom, strict=True))
    above, below = top[3] / 255, bottom[3] / 255
    alpha = above + below * (1 - above)
    if alpha == 0:
        return TRANSPARENT
    mixed = ((t * above + b * below * (1 - above)) / alpha for t, b in zip(top[:3], bottom[:3], strict=True))
    return (*map(round, mixed), round(alpha * 255))


def quarters(size: tuple[int, int]) -> Image.Image:
    """Return an image of four quarters: red and green above blue and yellow."""
    image = Image.frombytes("RGB", (2, 2), b"\xff\0\0\0\xff\0\0\0\xff\xff\xff\0")
    return image.resize(size, Image.Resampling.NEAREST)


RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)


def test_frame_of_the_images_size_is_composited_pixel_by_pixel() -> None:
    image, frame = files.noise((60, 40)), files.noise((60, 40), seed=2, mode="RGBA")
    expected = [source_over(top, bottom) for top, bottom in zip(files.pixels(frame), files.pixels(image), strict=True)]
    assert files.largest_difference(compose_and_open(image, make_template(frame)), expected) <= 1


def test_frame_over_a_transparent_image_keeps_alpha() -> None:
    image, frame = files.noise((60, 40), mode="RGBA"), files.noise((60, 40), seed=2, mode="RGBA")
    result = compose_and_open(image, make_template(frame))
    assert result.mode == "RGBA"
    for got, top, bottom in zip(files.pixels(result), files.pixels(frame), files.pixels(image), strict=True):
        expected = source_over(top, bottom)
        # The colour of a nearly transparent pixel is coarse, because its 8 bits are divided by a small alpha.
        tolerance = 2 + 255 // max(1, expected[3])
        assert max(abs(a - b) for a, b in zip(got, expected, strict=True)) <= tolerance


def test_frame_is_stretched_to_the_image() -> None:
    frame = quarters((8, 8)).convert("RGBA")
    result = compose_and_open(Image.new("RGB", (200, 80)), make_template(frame))
    assert result.size == (200, 80)
    places = [(20, 10), (180, 10), (20, 70), (180, 70)]
    assert [result.getpixel(place) for place in places] == [RED, GREEN, BLUE, YELLOW]


def test_frame_fits_the_upright_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = files.encoded(quarters((80, 40)), "PNG", exif=exif)
    result = compose_and_open(data, transparent_template((10, 10)))
    assert result.size == (40, 80)
    assert [result.getpixel(place) for place in [(5, 5), (35, 5), (5, 75), (35, 75)]] == [
        BLUE,
        RED,
        YELLOW,
        GREEN,
    ]


@pytest.mark.parametrize("opacity", [0.0, 0.25, 0.5, 1.0])
def test_opacity_fades_the_template(opacity: float) -> None:
    template = make_template(Image.new("RGBA", (30, 20), (255, 255, 255, 200)))
    result = compose_and_open(Image.new("RGB", (30, 20)), template, Layout(opacity=opacity))
    assert files.largest_difference(result, [(round(200 * opacity),) * 3] * 600) <= 1


def test_cover_crops_the_middle_of_the_image() -> None:
    bands = Image.new("RGB", (300, 100), "red")
    bands.paste(BLUE, (100, 0, 200, 100))
    result = compose_and_open(bands, transparent_template((50, 50)), TEMPLATE_CANVAS)
    assert result.size == (50, 50)
    inner = result.crop((1, 0, 49, 50))
    assert files.largest_difference(inner, [BLUE] * (48 * 50)) <= 1


def test_contain_pads_with_the_background() -> None:
    output = Output(Format.PNG, background="#ffcc00")
    layout = Layout(canvas=Canvas.TEMPLATE, fit=Fit.CONTAIN)
    result = compose_and_open(Image.new("RGB", (200, 100), "blue"), transparent_template((60, 50)), layout, output)
    assert result.mode == "RGB"
    expected = [BLUE if 10 <= y < 40 else (255, 204, 0) for y in range(50) for _ in range(60)]
    assert files.largest_difference(result, expected) == 0


def test_stretch_shows_the_whole_image_out_of_proportion() -> None:
    layout = Layout(canvas=Canvas.TEMPLATE, fit=Fit.STRETCH)
    result = compose_and_open(quarters((400, 100)), transparent_template((40, 60)), layout)
    assert [result.getpixel(at) for at in [(5, 5), (35, 5), (5, 55), (35, 55)]] == [RED, GREEN, BLUE, YELLOW]


@pytest.mark.parametrize("fit", Fit)
def test_on_the_template_canvas_the_template_keeps_its_size(fit: Fit) -> None:
    frame = Image.new("RGBA", (50, 40), TRANSPARENT)
    frame.paste((9, 8, 7, 255), (0, 0, 50, 3))
    result = compose_and_open(files.noise((90, 30)), make_template(frame), Layout(canvas=Canvas.TEMPLATE, fit=fit))
    assert files.largest_difference(result.crop((0, 0, 50, 3)), [(9, 8, 7)] * 150) == 0


def test_watermark_changes_only_its_own_box() -> None:
    image = files.noise((400, 200))
    layout = Layout(Mode.WATERMARK, anchor=Anchor.SOUTH_EAST, scale=0.25, margin=0.05)
    result = compose_and_open(image, make_template(Image.new("RGBA", (20, 10), (1, 2, 3, 255))), layout)
    box = (280, 130, 380, 180)
    assert files.largest_difference(result.crop(box), [(1, 2, 3)] * 5000) == 0
    result.paste(image.crop(box), box)
    assert result.tobytes() == image.tobytes()


def test_watermark_on_a_transparent_image() -> None:
    layout = Layout(Mode.WATERMARK, anchor=Anchor.NORTH_WEST, scale=0.5, margin=0)
    result = compose_and_open(
        Image.new("RGBA", (40, 40), TRANSPARENT), make_template(Image.new("RGBA", (4, 4), (9, 9, 9, 128))), layout
    )
    assert result.getpixel((10, 10)) == (9, 9, 9, 128)
    assert result.getpixel((30, 30))[3] == 0


@pytest.mark.parametrize("anchor", Anchor)
@pytest.mark.parametrize("size", [(1, 1), (300, 3), (3, 300)])
def test_watermark_larger_than_the_image_is_cropped(anchor: Anchor, size: tuple[int, int]) -> None:
    tall = make_template(Image.new("RGBA", (10, 900), (50, 60, 70, 255)))
    layout = Layout(Mode.WATERMARK, anchor=anchor, scale=1, margin=0.3)
    result = compose_and_open(Image.new("RGB", size, "white"), tall, layout)
    assert result.size == size
    assert (50, 60, 70) in files.pixels(result)


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("sizes", [((20_000, 1), (1, 300)), ((1, 1), (300, 1)), ((1, 20_000), (30, 20))])
def test_extreme_aspect_ratios_compose(fit: Fit, sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    image, template = sizes
    layout = Layout(canvas=Canvas.TEMPLATE, fit=fit)
    result = compose_and_open(Image.new("RGB", image, "blue"), transparent_template(template), layout)
    assert result.size == template
    assert BLUE in files.pixels(result)


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_shrinking_while_decoding_changes_no_geometry_and_little_quality(fit: Fit, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = files.noise((801, 603))
    layout, template = Layout(canvas=Canvas.TEMPLATE, fit=fit), transparent_template((80, 65))
    shrunk = compose_and_open(files.encoded(photo, "JPEG", quality=95, subsampling=0, exif=exif), template, layout)
    whole = compose_and_open(files.encoded(photo, "PNG", exif=exif), template, layout)
    assert shrunk.size == whole.size == (80, 65)
    # On its side, the picture is left with less than twice its target, and a sharper filter makes up for that.
    assert files.mean_difference(shrunk, whole) < (1.5 if orientation < 5 else 5)


def test_lossless_jpeg_is_fitted_to_the_templates_canvas() -> None:
    image = compose_and_open(lossless_jpeg(Image.linear_gradient("L")), transparent_template((32, 32)), TEMPLATE_CANVAS)
    assert image.size == (32, 32)
    assert [image.getpixel((16, y)) for y in (0, 31)] == [(4, 4, 4), (252, 252, 252)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY_BODY),
        (b"<html>", Reason.UNSUPPORTED_FORMAT),
        (files.encoded(files.noise((40, 40)), "JPEG")[:-200], Reason.CORRUPT_IMAGE),
        (files.encoded(Image.new("1", (101, 100)), "PNG"), Reason.TOO_MANY_PIXELS),
    ],
)
def test_invalid_source_keeps_its_reason(body: bytes, reason: Reason) -> None:
    with pytest.raises(EntryFailure) as caught:
        compose(body, transparent_template((4, 4)), Layout(), Output(), max_pixels=10_000)
    assert caught.value.reason == reason
