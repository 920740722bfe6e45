"""Drawing the visible regions of a layer gives the same pixels as drawing the whole layer."""

from random import Random

import pytest
from PIL import Image, ImageDraw

from imgrelay_dagster.relay.imaging.opaque_regions import BAND_HEIGHT, split_into_regions
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from tests.support import picture_files as files

SIZES = [(1, 1), (3, 200), (200, 3), (BAND_HEIGHT, BAND_HEIGHT), (BAND_HEIGHT + 1, 2 * BAND_HEIGHT - 1), (317, 241)]


def spotted(size: tuple[int, int], seed: int) -> Image.Image:
    """Return a layer with a few spots of different alpha; the rest is transparent but not black."""
    random = Random(seed)
    alpha = Image.new("L", size)
    pen = ImageDraw.Draw(alpha)
    for _ in range(random.randrange(6)):
        x, y = random.randrange(size[0]), random.randrange(size[1])
        right, bottom = x + random.choice((0, 1, 70)), y + random.choice((0, 1, 70))
        pen.rectangle((x, y, right, bottom), fill=random.choice((1, 128, 254, 255)))
    layer = files.noise(size).convert("RGBA")
    layer.putalpha(alpha)
    return layer


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_drawing_the_regions_equals_drawing_the_layer(size: tuple[int, int], mode: str) -> None:
    for seed in range(25):
        layer, whole = spotted(size, seed), files.noise(size).convert(mode)
        if mode == "RGBA":
            whole.putalpha(files.noise(size).convert("L"))
        by_region = whole.copy()
        regions = split_into_regions(layer)
        if mode == "RGBA":
            whole.alpha_composite(layer)
            for region, offset in regions:
                by_region.alpha_composite(region, offset)
        else:
            whole.paste(layer, (0, 0), layer)
            for region, offset in regions:
                by_region.paste(region, offset, region)
        assert by_region.tobytes() == whole.tobytes(), seed
        assert sum(region.width * region.height for region, _ in regions) <= size[0] * size[1]


def test_transparent_layer_has_no_regions_and_an_opaque_layer_has_one() -> None:
    assert split_into_regions(Image.new("RGBA", (300, 200), (9, 9, 9, 0))) == ()
    ((region, offset),) = split_into_regions(Image.new("RGBA", (300, 200), (9, 9, 9, 1)))
    assert (region.size, offset) == ((300, 200), (0, 0))


def test_regions_omit_most_of_the_shipped_frame() -> None:
    frame = TemplateFolder.shipped().load("frame.png").image
    assert (
        sum(region.width * region.height for region, _ in split_into_regions(frame)) < 0.3 * frame.width * frame.height
    )
