"""Geometry: where the image and the template are placed on the canvas."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.layout import (
    Anchor,
    Fit,
    Layout,
    Mode,
    Placement,
    ScaleOf,
    Size,
    parse_focus,
    place_image,
    place_template,
    scaled_size,
    stretch,
)

sizes = st.tuples(st.integers(1, 65_535), st.integers(1, 65_535))
shares = st.floats(0, 1)


def inside(placement: Placement, canvas: Size, picture: Size) -> bool:
    """Whether a placement stays on the canvas, and its part within the picture."""
    left, top, right, bottom = placement.part
    return (
        min(placement.offset) >= 0
        and min(placement.size) >= 1
        and all(o + s <= c for o, s, c in zip(placement.offset, placement.size, canvas, strict=True))
        and 0 <= left < right <= picture[0]
        and 0 <= top < bottom <= picture[1]
    )


@given(sizes, sizes, st.sampled_from(Fit))
def test_image_stays_on_its_canvas_with_every_fit(canvas: Size, image: Size, fit: Fit) -> None:
    assert inside(place_image(canvas, image, fit), canvas, image)


@given(sizes, sizes, st.sampled_from(Anchor), st.floats(0.0001, 1), shares)
def test_watermark_is_always_on_the_canvas(
    canvas: Size, template: Size, anchor: Anchor, scale: float, margin: float
) -> None:
    layout = Layout(mode=Mode.WATERMARK, anchor=anchor, scale=scale, margin=margin)
    placement = place_template(canvas, template, layout)
    assert inside(placement, canvas, template)
    assert placement.part == (0, 0, *template)  # it is seen whole
    assert placement.size[0] <= max(1, round(canvas[0] * scale))


@given(sizes, sizes)
def test_cover_fills_the_canvas_and_keeps_the_aspect_ratio(canvas: Size, image: Size) -> None:
    placement = place_image(canvas, image, Fit.COVER)
    left, top, right, bottom = placement.part
    assert (placement.offset, placement.size) == ((0, 0), canvas)
    assert (right - left) / (bottom - top) == pytest.approx(canvas[0] / canvas[1], rel=1e-6)
    assert left == pytest.approx(image[0] - right, abs=1e-6)
    assert top == pytest.approx(image[1] - bottom, abs=1e-6)


@given(sizes, sizes)
def test_contain_shows_the_whole_image_and_touches_two_edges(canvas: Size, image: Size) -> None:
    placement = place_image(canvas, image, Fit.CONTAIN)
    assert placement.part == (0, 0, *image)
    scale = min(canvas[0] / image[0], canvas[1] / image[1])
    assert placement.size[0] == canvas[0] or placement.size[1] == canvas[1]
    assert all(abs(size - side * scale) <= 1 for size, side in zip(placement.size, image, strict=True))
    gaps = [c - s for c, s in zip(canvas, placement.size, strict=True)]
    assert placement.offset == (gaps[0] // 2, gaps[1] // 2)


@given(sizes, sizes, st.sampled_from(Fit))
def test_scaled_size_has_the_scale_of_the_visible_part(canvas: Size, image: Size, fit: Fit) -> None:
    placement = place_image(canvas, image, fit)
    left, _, right, _ = placement.part
    width, height = scaled_size(placement, image)
    assert width >= placement.size[0]
    assert height >= placement.size[1]
    assert width / image[0] == pytest.approx(placement.size[0] / (right - left), abs=1.01 / image[0])


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        (Fit.COVER, Placement((0, 0), (100, 100), (50, 0, 150, 100))),
        (Fit.CONTAIN, Placement((0, 25), (100, 50), (0, 0, 200, 100))),
        (Fit.STRETCH, Placement((0, 0), (100, 100), (0, 0, 200, 100))),
    ],
)
def test_wide_image_on_a_square_canvas(fit: Fit, expected: Placement) -> None:
    assert place_image((100, 100), (200, 100), fit) == expected


@pytest.mark.parametrize("fit", [Fit.COVER, Fit.CONTAIN])
def test_small_image_is_enlarged_to_the_canvas(fit: Fit) -> None:
    assert place_image((100, 60), (10, 6), fit).size == (100, 60)


def test_frame_is_stretched_over_the_whole_canvas() -> None:
    assert place_template((300, 200), (50, 70), Layout()) == stretch((300, 200), (50, 70))


@pytest.mark.parametrize(
    ("anchor", "offset"),
    [
        (Anchor.NORTH_WEST, (20, 20)),
        (Anchor.NORTH, (375, 20)),
        (Anchor.NORTH_EAST, (730, 20)),
        (Anchor.WEST, (20, 250)),
        (Anchor.CENTER, (375, 250)),
        (Anchor.EAST, (730, 250)),
        (Anchor.SOUTH_WEST, (20, 480)),
        (Anchor.SOUTH, (375, 480)),
        (Anchor.SOUTH_EAST, (730, 480)),
    ],
)
def test_watermark_is_placed_at_its_anchor(anchor: Anchor, offset: tuple[int, int]) -> None:
    placement = place_template((1000, 600), (500, 200), Layout(Mode.WATERMARK, anchor=anchor))
    assert placement == Placement(offset, (250, 100), (0, 0, 500, 200))


def test_watermark_shrinks_on_an_image_that_is_too_flat_for_it() -> None:
    placement = place_template((200, 100), (100, 800), Layout(Mode.WATERMARK, anchor=Anchor.SOUTH))
    assert (placement.size, placement.part) == ((12, 100), (0, 0, 100, 800))


@pytest.mark.parametrize(("scale_of", "width"), [("width", 40), ("height", 20), ("shorter", 20), ("longer", 40)])
def test_scale_is_a_share_of_the_chosen_side(scale_of: str, width: int) -> None:
    layout = Layout(Mode.WATERMARK, scale=0.1, scale_of=ScaleOf(scale_of))
    assert place_template((400, 200), (100, 50), layout).size == (width, width // 2)


@pytest.mark.parametrize(
    ("focus", "left"), [("center", 100), ("west", 0), ("north_east", 200), ("0.3,0.6", 20), ("0,0", 0), ("1,1", 200)]
)
def test_cover_keeps_the_focus(focus: str, left: float) -> None:
    placement = place_image((100, 100), (400, 200), Fit.COVER, parse_focus(focus))
    assert placement.part == pytest.approx((left, 0, left + 200, 200))


@pytest.mark.parametrize("focus", ["middle", "0.3", "0.3,1.2", "0.3,0.6,0.9", ""])
def test_invalid_focus_is_refused(focus: str) -> None:
    with pytest.raises(RelayError, match="focus"):
        Layout(focus=focus)


def test_margin_is_reduced_when_there_is_no_space() -> None:
    layout = Layout(Mode.WATERMARK, anchor=Anchor.SOUTH_EAST, scale=0.25, margin=1)
    assert place_template((1000, 300), (500, 200), layout).offset == (0, 0)


@pytest.mark.parametrize("field", ["scale", "margin", "opacity"])
@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_number_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(RelayError, match=f"layout {field} {value}"):
        Layout(**{field: value})


def test_zero_scale_is_refused() -> None:
    with pytest.raises(RelayError, match="layout scale 0"):
        Layout(scale=0)
