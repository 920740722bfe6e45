"""Composing: the right pixels in the right place, in every mode and format, without a trace of the source."""

import hashlib
import io
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure, RelayError, Stopped
from imgrelay_dagster.relay.imaging.compose import Composed, Format, Output, Template, compose
from imgrelay_dagster.relay.imaging.layout import Anchor, Canvas, Fit, Layout, Mode
from imgrelay_dagster.relay.imaging.pixel_budget import PixelBudget
from imgrelay_dagster.relay.imaging.template import LAYERS_MAX_PIXELS
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files

PNG = Output(Format.PNG)
ON_TEMPLATE = Layout(canvas=Canvas.TEMPLATE)
CLEAR = (0, 0, 0, 0)


def template_of(image: Image.Image) -> Template:
    return Template.load(files.encoded(image, "PNG"), "frame.png")


def clear_template(size: tuple[int, int]) -> Template:
    return template_of(Image.new("RGBA", size, CLEAR))


def run(
    image: Image.Image | bytes, template: Template, layout: Layout | None = None, output: Output = PNG
) -> Image.Image:
    """Compose, check what is reported, and open the result."""
    data = image if isinstance(image, bytes) else files.encoded(image, "PNG")
    composed = compose(data, template, layout or Layout(), output, max_pixels=100_000_000)
    opened = Image.open(io.BytesIO(composed.data))
    opened.load()
    assert opened.size == (composed.width, composed.height)
    assert opened.format == output.format.upper()
    return opened


def over(top: files.Pixel, bottom: files.Pixel) -> files.Pixel:
    """Porter and Duff's source-over on straight 8-bit alpha; an RGB bottom gives RGB."""
    if len(bottom) == 3:
        return tuple(round((t * top[3] + b * (255 - top[3])) / 255) for t, b in zip(top[:3], bottom, strict=True))
    above, below = top[3] / 255, bottom[3] / 255
    alpha = above + below * (1 - above)
    if alpha == 0:
        return CLEAR
    mixed = ((t * above + b * below * (1 - above)) / alpha for t, b in zip(top[:3], bottom[:3], strict=True))
    return (*map(round, mixed), round(alpha * 255))


def quarters(size: tuple[int, int]) -> Image.Image:
    """Red and green above blue and yellow, each a quarter of the picture."""
    image = Image.frombytes("RGB", (2, 2), b"\xff\0\0\0\xff\0\0\0\xff\xff\xff\0")
    return image.resize(size, Image.Resampling.NEAREST)


RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)


def test_a_frame_of_the_images_size_is_laid_over_pixel_by_pixel() -> None:
    image, frame = files.noise((60, 40)), files.noise((60, 40), seed=2, mode="RGBA")
    expected = [over(top, bottom) for top, bottom in zip(files.pixels(frame), files.pixels(image), strict=True)]
    assert files.largest_difference(run(image, template_of(frame)), expected) <= 1


def test_a_frame_over_a_transparent_image_keeps_alpha() -> None:
    image, frame = files.noise((60, 40), mode="RGBA"), files.noise((60, 40), seed=2, mode="RGBA")
    result = run(image, template_of(frame))
    assert result.mode == "RGBA"
    for got, top, bottom in zip(files.pixels(result), files.pixels(frame), files.pixels(image), strict=True):
        expected = over(top, bottom)
        # Colours of nearly clear pixels are coarse: 8 bits of a small alpha.
        tolerance = 2 + 255 // max(1, expected[3])
        assert max(abs(a - b) for a, b in zip(got, expected, strict=True)) <= tolerance


def test_a_frame_is_stretched_to_the_image() -> None:
    frame = quarters((8, 8)).convert("RGBA")
    result = run(Image.new("RGB", (200, 80)), template_of(frame))
    assert result.size == (200, 80)
    places = [(20, 10), (180, 10), (20, 70), (180, 70)]
    assert [result.getpixel(place) for place in places] == [RED, GREEN, BLUE, YELLOW]


def test_a_frame_follows_the_upright_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = files.encoded(quarters((80, 40)), "PNG", exif=exif)
    result = run(data, clear_template((10, 10)))
    assert result.size == (40, 80)
    assert [result.getpixel(place) for place in [(5, 5), (35, 5), (5, 75), (35, 75)]] == [
        BLUE,
        RED,
        YELLOW,
        GREEN,
    ]


@pytest.mark.parametrize("opacity", [0.0, 0.25, 0.5, 1.0])
def test_opacity_fades_the_template(opacity: float) -> None:
    template = template_of(Image.new("RGBA", (30, 20), (255, 255, 255, 200)))
    result = run(Image.new("RGB", (30, 20)), template, Layout(opacity=opacity))
    assert files.largest_difference(result, [(round(200 * opacity),) * 3] * 600) <= 1


def test_cover_crops_the_middle_of_the_image() -> None:
    bands = Image.new("RGB", (300, 100), "red")
    bands.paste(BLUE, (100, 0, 200, 100))
    result = run(bands, clear_template((50, 50)), ON_TEMPLATE)
    assert result.size == (50, 50)
    inner = result.crop((1, 0, 49, 50))
    assert files.largest_difference(inner, [BLUE] * (48 * 50)) <= 1


def test_contain_pads_with_the_background() -> None:
    output = Output(Format.PNG, background="#ffcc00")
    layout = Layout(canvas=Canvas.TEMPLATE, fit=Fit.CONTAIN)
    result = run(Image.new("RGB", (200, 100), "blue"), clear_template((60, 50)), layout, output)
    assert result.mode == "RGB"
    expected = [BLUE if 10 <= y < 40 else (255, 204, 0) for y in range(50) for _ in range(60)]
    assert files.largest_difference(result, expected) == 0


def test_stretch_shows_the_whole_image_out_of_proportion() -> None:
    layout = Layout(canvas=Canvas.TEMPLATE, fit=Fit.STRETCH)
    result = run(quarters((400, 100)), clear_template((40, 60)), layout)
    assert [result.getpixel(at) for at in [(5, 5), (35, 5), (5, 55), (35, 55)]] == [RED, GREEN, BLUE, YELLOW]


@pytest.mark.parametrize("fit", Fit)
def test_on_the_templates_canvas_the_template_lies_on_top_at_its_own_size(fit: Fit) -> None:
    frame = Image.new("RGBA", (50, 40), CLEAR)
    frame.paste((9, 8, 7, 255), (0, 0, 50, 3))
    result = run(files.noise((90, 30)), template_of(frame), Layout(canvas=Canvas.TEMPLATE, fit=fit))
    assert files.largest_difference(result.crop((0, 0, 50, 3)), [(9, 8, 7)] * 150) == 0


def test_a_watermark_changes_only_its_own_box() -> None:
    image = files.noise((400, 200))
    layout = Layout(Mode.WATERMARK, anchor=Anchor.SOUTH_EAST, scale=0.25, margin=0.05)
    result = run(image, template_of(Image.new("RGBA", (20, 10), (1, 2, 3, 255))), layout)
    box = (280, 130, 380, 180)
    assert files.largest_difference(result.crop(box), [(1, 2, 3)] * 5000) == 0
    result.paste(image.crop(box), box)
    assert result.tobytes() == image.tobytes()


def test_a_watermark_lies_on_a_transparent_image() -> None:
    layout = Layout(Mode.WATERMARK, anchor=Anchor.NORTH_WEST, scale=0.5, margin=0)
    result = run(Image.new("RGBA", (40, 40), CLEAR), template_of(Image.new("RGBA", (4, 4), (9, 9, 9, 128))), layout)
    assert result.getpixel((10, 10)) == (9, 9, 9, 128)
    assert result.getpixel((30, 30))[3] == 0


@pytest.mark.parametrize("anchor", Anchor)
@pytest.mark.parametrize("size", [(1, 1), (300, 3), (3, 300)])
def test_a_watermark_larger_than_the_image_is_clipped(anchor: Anchor, size: tuple[int, int]) -> None:
    tall = template_of(Image.new("RGBA", (10, 900), (50, 60, 70, 255)))
    layout = Layout(Mode.WATERMARK, anchor=anchor, scale=1, margin=0.3)
    result = run(Image.new("RGB", size, "white"), tall, layout)
    assert result.size == size
    assert (50, 60, 70) in files.pixels(result)


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("sizes", [((20_000, 1), (1, 300)), ((1, 1), (300, 1)), ((1, 20_000), (30, 20))])
def test_extreme_proportions_compose(fit: Fit, sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    image, template = sizes
    layout = Layout(canvas=Canvas.TEMPLATE, fit=fit)
    result = run(Image.new("RGB", image, "blue"), clear_template(template), layout)
    assert result.size == template
    assert BLUE in files.pixels(result)


def test_jpeg_shows_the_background_through_transparent_pixels() -> None:
    image = Image.new("RGBA", (32, 32), (255, 0, 0, 128))
    output = Output(Format.JPEG, quality=95, background="blue")
    result = run(image, clear_template((4, 4)), Layout(), output)
    assert files.largest_difference(result, [(128, 0, 127)] * 1024) <= 3


@pytest.mark.parametrize("file_format", [Format.PNG, Format.WEBP])
@pytest.mark.parametrize("fit", [Fit.COVER, Fit.CONTAIN])
def test_png_and_webp_keep_alpha_but_padding_is_background(file_format: Format, fit: Fit) -> None:
    layout = Layout(canvas=Canvas.TEMPLATE, fit=fit)
    image = Image.new("RGBA", (64, 32), (255, 0, 0, 100))
    result = run(image, clear_template((32, 32)), layout, Output(file_format, background="lime"))
    assert result.mode == "RGBA"
    center, edge = result.getpixel((16, 16)), result.getpixel((16, 1))
    assert abs(center[3] - 100) <= 1
    assert center[0] >= 248
    assert edge[3] == (255 if fit == Fit.CONTAIN else center[3])
    assert edge[1] >= 248 if fit == Fit.CONTAIN else edge[1] <= 7


def test_a_transparent_background_pads_with_nothing_where_the_format_allows() -> None:
    layout = Layout(canvas=Canvas.TEMPLATE, fit=Fit.CONTAIN)
    image = Image.new("RGB", (64, 32), "red")
    padded = run(image, clear_template((32, 32)), layout, Output(Format.PNG, background="#00ff0000"))
    assert [padded.getpixel((16, y)) for y in (1, 16)] == [(0, 255, 0, 0), (255, 0, 0, 255)]
    opaque = run(image, clear_template((32, 32)), layout, Output(Format.JPEG, background="#00ff0000"))
    assert max(abs(a - b) for a, b in zip(opaque.getpixel((16, 1)), GREEN, strict=True)) <= 3


def test_an_opaque_image_gives_an_opaque_png() -> None:
    assert run(files.noise((20, 20)), template_of(files.noise((20, 20), mode="RGBA"))).mode == "RGB"


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_shrinking_while_decoding_changes_no_geometry_and_little_quality(fit: Fit, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = files.noise((801, 603))
    layout, template = Layout(canvas=Canvas.TEMPLATE, fit=fit), clear_template((80, 65))
    shrunk = run(files.encoded(photo, "JPEG", quality=95, subsampling=0, exif=exif), template, layout)
    whole = run(files.encoded(photo, "PNG", exif=exif), template, layout)
    assert shrunk.size == whole.size == (80, 65)
    assert files.mean_difference(shrunk, whole) < 1.5


@pytest.mark.parametrize("file_format", Format)
def test_nothing_of_the_source_but_pixels_is_stored(file_format: Format) -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET description"
    exif.get_ifd(0x8825)[1] = "N"
    data = files.encoded(
        files.noise((64, 64)),
        "JPEG",
        exif=exif,
        icc_profile=files.rgb_profile(),
        comment="SECRET comment",
        dpi=(300, 300),
        xmp=b"<x>SECRET</x>",
    )
    assert data.count(b"SECRET") == 3
    for image in (data, files.encoded(Image.open(io.BytesIO(data)), "PNG", exif=exif, dpi=(300, 300))):
        stored = compose(image, clear_template((9, 9)), Layout(), Output(file_format), max_pixels=10**6).data
        result = Image.open(io.BytesIO(stored))
        for trace in (
            b"SECRET",
            b"Exif",
            b"eXIf",
            b"EXIF",
            b"ICC",
            b"iCCP",
            b"pHYs",
            b"tEXt",
            b"XMP",
            b"http",
        ):
            assert trace not in stored
        harmless = {
            "jfif",
            "jfif_version",
            "jfif_unit",
            "jfif_density",
            "loop",
            "background",
            "timestamp",
            "duration",
        }
        assert set(result.info) <= harmless
        assert result.info.get("jfif_density", (1, 1)) in ((0, 0), (1, 1))


@pytest.mark.parametrize("file_format", Format)
def test_the_same_input_gives_the_same_bytes_in_any_thread_and_process(file_format: Format) -> None:
    image = files.encoded(files.noise((300, 200), mode="RGBA"), "PNG")
    frame = files.encoded(files.noise((50, 40), seed=3, mode="RGBA"), "PNG")
    output = Output(file_format)

    def digest(template: Template) -> str:
        composed = compose(image, template, Layout(opacity=0.7), output, max_pixels=10**6)
        return hashlib.sha256(composed.data).hexdigest()

    shared = Template.load(frame, "frame.png")
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(digest(shared))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    program = (
        "import sys, hashlib; from imgrelay_dagster.relay.imaging.compose import *;"
        "from imgrelay_dagster.relay.imaging.layout import Layout;"
        "body = sys.stdin.buffer.read(); image, frame = body[:int(sys.argv[1])], body[int(sys.argv[1]):];"
        "done = compose(image, Template.load(frame, 'f'), Layout(opacity=0.7), Output(Format(sys.argv[2])),"
        " max_pixels=10**6); print(hashlib.sha256(done.data).hexdigest())"
    )
    command = [sys.executable, "-c", program, str(len(image)), file_format]
    child = subprocess.run(command, input=image + frame, capture_output=True, check=True, timeout=60)
    assert {*found, child.stdout.decode().strip()} == {digest(Template.load(frame, "frame.png"))}
    assert len(found) == 6


@pytest.mark.parametrize(
    ("file_format", "side", "most"),
    [(Format.WEBP, 16_384, 16_383), (Format.JPEG, 65_501, 65_500), (Format.PNG, 100_001, 100_000)],
)
def test_a_size_the_format_cannot_hold_is_a_compose_error(file_format: Format, side: int, most: int) -> None:
    data = files.encoded(Image.new("1", (1, side)), "PNG")
    with pytest.raises(EntryFailure) as caught:
        compose(data, clear_template((4, 4)), Layout(), Output(file_format), max_pixels=10**6)
    assert caught.value.reason == Reason.COMPOSE_ERROR
    assert f"{file_format} holds at most {most} pixels a side" in caught.value.detail
    assert f"1x{side}" in caught.value.detail


@pytest.mark.parametrize(("file_format", "side"), [(Format.WEBP, 16_383), (Format.JPEG, 65_500), (Format.PNG, 100_000)])
def test_the_largest_size_of_a_format_is_stored(file_format: Format, side: int) -> None:
    assert run(Image.new("1", (2, side)), clear_template((4, 4)), output=Output(file_format)).size == (
        2,
        side,
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY_BODY),
        (b"<html>", Reason.UNSUPPORTED_FORMAT),
        (files.encoded(files.noise((40, 40)), "JPEG")[:-200], Reason.CORRUPT_IMAGE),
        (files.encoded(Image.new("1", (101, 100)), "PNG"), Reason.TOO_MANY_PIXELS),
    ],
)
def test_a_bad_source_keeps_its_reason(body: bytes, reason: Reason) -> None:
    with pytest.raises(EntryFailure) as caught:
        compose(body, clear_template((4, 4)), Layout(), Output(), max_pixels=10_000)
    assert caught.value.reason == reason


def test_quality_and_compress_level_reach_the_encoder() -> None:
    image, template = files.noise((200, 200)), clear_template((4, 4))

    def stored(output: Output) -> Composed:
        return compose(files.encoded(image, "PNG"), template, Layout(), output, max_pixels=10**6)

    for file_format in (Format.JPEG, Format.WEBP):
        low, high = (len(stored(Output(file_format, quality=quality)).data) for quality in (20, 95))
        assert low * 2 < high
    plain, packed = (len(stored(Output(Format.PNG, png_compress_level=level)).data) for level in (0, 6))
    assert packed < plain


def test_outputs_know_their_extension_and_content_type() -> None:
    facts = {item: (Output(item).extension, Output(item).content_type) for item in Format}
    assert facts == {
        Format.JPEG: (".jpg", "image/jpeg"),
        Format.PNG: (".png", "image/png"),
        Format.WEBP: (".webp", "image/webp"),
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Output(background="no such colour"), "background 'no such colour'"),
        (lambda: Output(background=""), "background ''"),
        (lambda: Output(quality=0), "quality 0"),
        (lambda: Output(quality=101), "quality 101"),
        (lambda: Output(png_compress_level=10), "png_compress_level 10"),
    ],
)
def test_a_bad_option_is_refused_by_name_and_value(make: Callable[[], Output], message: str) -> None:
    with pytest.raises(RelayError, match=message):
        make()


@pytest.mark.parametrize("data", [b"", b"<html>", files.encoded(Image.new("RGB", (9, 9)), "PNG")[:40]])
def test_a_template_that_is_no_picture_is_named(data: bytes) -> None:
    with pytest.raises(RelayError, match=r"^template 'frame2\.png' cannot be used: .{10}"):
        Template.load(data, "frame2.png")


def test_a_template_knows_its_digest_and_size() -> None:
    data = files.encoded(Image.new("RGB", (9, 5)), "JPEG")
    template = Template.load(data, "frame.jpg")
    assert template.digest == hashlib.sha256(data).hexdigest()
    assert (template.image.mode, template.size) == ("RGBA", (9, 5))


def test_scaled_templates_are_kept_within_bounds() -> None:
    template = clear_template((8, 8))
    for width in range(1000, 1060):
        run(Image.new("1", (width, 500)), template)
    assert LAYERS_MAX_PIXELS - 600_000 < template._layers.weight <= LAYERS_MAX_PIXELS


def test_composing_holds_the_budget_and_gives_it_back() -> None:
    budget = PixelBudget(10**6)
    data = files.encoded(files.noise((40, 30)), "PNG")
    template = clear_template((4, 4))
    stop = threading.Event()
    stop.set()
    with budget.hold(10**6), pytest.raises(Stopped):
        compose(data, template, Layout(), PNG, max_pixels=10**6, budget=budget, stop=stop)
    with pytest.raises(EntryFailure):
        compose(data[:200], template, Layout(), PNG, max_pixels=10**6, budget=budget)
    assert budget.held == 0
    with budget.hold(10**6 - 1200):
        composed = compose(data, template, Layout(), PNG, max_pixels=10**6, budget=budget, stop=stop)
    assert (composed.width, composed.height) == (40, 30)
