"""Images that are reduced, enlarged or refused because of their size."""

import pytest
from PIL import ExifTags, Image

from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.imaging.compose import compose, compose_source
from imgrelay_dagster.relay.imaging.decode import Source
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.layout import Canvas, Layout, Mode
from imgrelay_dagster.relay.imaging.size_limits import SizeLimits
from imgrelay_dagster.relay.outcomes import Reason, Record, is_permanent
from imgrelay_dagster.relay.settings import Settings
from tests.support import composing
from tests.support import picture_files as files

Size = tuple[int, int]


@pytest.mark.parametrize(
    ("limits", "image", "expected"),
    [
        (SizeLimits(), (300, 200), (300, 200)),
        (SizeLimits(max_width=150), (300, 200), (150, 100)),
        (SizeLimits(max_height=50), (300, 200), (75, 50)),
        (SizeLimits(max_width=150, max_height=50), (300, 200), (75, 50)),
        (SizeLimits(max_width=300, max_height=200), (300, 200), (300, 200)),
        (SizeLimits(max_width=900), (300, 200), (300, 200)),
        (SizeLimits(max_width=900, enlarge=True), (300, 200), (900, 600)),
        (SizeLimits(max_width=900, max_height=300, enlarge=True), (300, 200), (450, 300)),
        (SizeLimits(max_width=10), (4000, 3), (10, 1)),
    ],
)
def test_image_is_scaled_in_proportion(limits: SizeLimits, image: Size, expected: Size) -> None:
    assert limits.scaled(image, 1_000_000) == expected


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_template_is_laid_on_the_scaled_image(mode: Mode, kind: str) -> None:
    layout = Layout(mode, scale=0.5, margin=0, limits=SizeLimits(max_width=120))
    data = files.encoded(Image.new("RGB", (1601, 1200), "red"), kind)
    template = composing.make_template(Image.new("RGBA", (20, 20), "blue"))
    result = composing.compose_and_open(data, template, layout)
    blue = result.convert("RGB").getchannel("B").point(lambda level: 255 * (level > 128))
    assert result.size == (120, 90)
    assert blue.getbbox() == ((0, 0, 120, 90) if mode is Mode.FRAME else (60, 30, 120, 90))


def test_limits_are_those_of_the_upright_image_also_in_a_decoder_process() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = files.encoded(files.noise((320, 200)), "JPEG", exif=exif)
    layout, template = Layout(limits=SizeLimits(max_width=100, min_height=320)), composing.transparent_template((4, 4))
    here = compose(data, template, layout, composing.PNG, max_pixels=1_000_000)
    assert (here.width, here.height) == (100, 160)
    with DecoderPool() as decoders:
        source = Source.inspect(data, 1_000_000)
        assert compose_source(source, template, layout, composing.PNG, decoders=decoders) == here


@pytest.mark.parametrize(
    ("limits", "reason", "detail"),
    [
        (SizeLimits(min_width=41), Reason.TOO_SMALL, "the image has 40x30 pixels; layout min_width is 41"),
        (SizeLimits(min_height=31), Reason.TOO_SMALL, "the image has 40x30 pixels; layout min_height is 31"),
        (
            SizeLimits(max_width=4000, enlarge=True),
            Reason.TOO_MANY_PIXELS,
            "enlarged to 4000x3000 it would have 12000000 pixels; the limit is 5000",
        ),
    ],
)
def test_image_is_refused(limits: SizeLimits, reason: Reason, detail: str) -> None:
    data = files.encoded(Image.new("RGB", (40, 30)), "PNG")
    with pytest.raises(EntryFailure) as caught:
        compose(data, composing.transparent_template((4, 4)), Layout(limits=limits), composing.PNG, max_pixels=5000)
    assert (caught.value.reason, caught.value.detail) == (reason, detail)


def test_on_the_templates_canvas_only_small_images_are_refused() -> None:
    image, template = Image.new("RGB", (40, 30)), composing.transparent_template((50, 50))
    layout = Layout(canvas=Canvas.TEMPLATE, limits=SizeLimits(max_width=10, min_width=40))
    assert composing.compose_and_open(image, template, layout).size == (50, 50)
    with pytest.raises(EntryFailure, match="min_width"):
        composing.compose_and_open(image.resize((39, 30)), template, layout)


def test_too_small_is_permanent_until_the_limit_changes() -> None:
    assert is_permanent(Record(1, "u", reason=Reason.TOO_SMALL))
    prints = {
        Settings("d", "/d", layout=Layout(limits=limits)).fingerprint_function()(url="u", template_digest="t")
        for limits in (SizeLimits(), SizeLimits(min_width=5), SizeLimits(min_width=6))
    }
    assert len(prints) == 3
    assert Settings("d", "/d").fingerprint_function()(url="u", template_digest="t") in prints


def test_run_config_sets_the_limits() -> None:
    given = {"max_width": 5, "max_height": 4, "enlarge": True, "min_width": 3, "min_height": 2}
    settings = RelayConfig(urls=["http://h/a.jpg"], manifest=None, layout=given).settings()  # type: ignore[arg-type]
    assert settings.layout.limits == SizeLimits(5, 4, enlarge=True, min_width=3, min_height=2)


@pytest.mark.parametrize("given", [{"enlarge": True}, {"max_width": 0}, {"min_height": -1}])
def test_wrong_limits_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(RelayError, match=f"layout {next(iter(given))}"):
        SizeLimits(**given)  # type: ignore[arg-type]
