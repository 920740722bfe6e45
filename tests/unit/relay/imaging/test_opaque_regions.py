"""A layer cut into the pieces that show gives the very pixels that the whole layer gives."""

from random import Random

import pytest
from PIL import Image, ImageDraw

from imgrelay_dagster.relay.imaging.opaque_regions import BAND, cut
from imgrelay_dagster.relay.imaging.template import LAYERS_MAX_PIXELS
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from tests.support import picture_files as files
from tests.unit.relay.imaging.test_compose import clear_template, run

SIZES = [(1, 1), (3, 200), (200, 3), (BAND, BAND), (BAND + 1, 2 * BAND - 1), (317, 241)]


def spotted(size: tuple[int, int], seed: int) -> Image.Image:
    """A layer with a few soft spots, some of a single pixel, some at the edges, the rest clear but not black."""
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
def test_pieces_give_what_the_layer_gives(size: tuple[int, int], mode: str) -> None:
    for seed in range(25):
        layer, whole = spotted(size, seed), files.noise(size).convert(mode)
        if mode == "RGBA":
            whole.putalpha(files.noise(size).convert("L"))
        piecemeal = whole.copy()
        pieces = cut(layer)
        if mode == "RGBA":
            whole.alpha_composite(layer)
            for piece, place in pieces:
                piecemeal.alpha_composite(piece, place)
        else:
            whole.paste(layer, (0, 0), layer)
            for piece, place in pieces:
                piecemeal.paste(piece, place, piece)
        assert piecemeal.tobytes() == whole.tobytes(), seed
        assert sum(piece.width * piece.height for piece, _ in pieces) <= size[0] * size[1]


def test_a_clear_layer_has_no_pieces_and_an_opaque_one_is_one() -> None:
    assert cut(Image.new("RGBA", (300, 200), (9, 9, 9, 0))) == ()
    ((piece, place),) = cut(Image.new("RGBA", (300, 200), (9, 9, 9, 1)))
    assert (piece.size, place) == ((300, 200), (0, 0))


def test_most_of_the_frame_that_comes_with_imgrelay_is_left_out() -> None:
    frame = TemplateFolder.shipped().load("frame.png").image
    assert sum(piece.width * piece.height for piece, _ in cut(frame)) < 0.3 * frame.width * frame.height


def test_a_template_too_large_to_be_kept_is_laid_whole() -> None:
    side = int(LAYERS_MAX_PIXELS**0.5) + 1
    template = clear_template((side, side))
    template.image.putpixel((side - 1, side - 1), (255, 0, 0, 255))
    composed = run(Image.new("RGB", (side, side)), template)
    assert composed.getpixel((side - 1, side - 1)) != (0, 0, 0)
    assert template._layers.weight == 0
