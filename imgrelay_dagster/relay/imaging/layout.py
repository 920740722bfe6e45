"""Geometry: where the image and the template are placed on the canvas. Computes with sizes only.

Sizes are (width, height) in pixels; every function accepts any size of at least 1x1.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.size_limits import SizeLimits

Size = tuple[int, int]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; fractions allowed."""


class Mode(StrEnum):
    """How the template is used: as a frame over the whole canvas, or as a watermark at one place."""

    FRAME = "frame"
    WATERMARK = "watermark"


class Canvas(StrEnum):
    """Whether the output has the image's or the template's size in frame mode."""

    IMAGE = "image"
    TEMPLATE = "template"


class Fit(StrEnum):
    """How an image fills a canvas of another shape, as in CSS `object-fit`; `stretch` is `fill` there."""

    COVER = "cover"
    CONTAIN = "contain"
    STRETCH = "stretch"


class Anchor(StrEnum):
    """The position of a watermark on the image."""

    NORTH_WEST = "north_west"
    NORTH = "north"
    NORTH_EAST = "north_east"
    WEST = "west"
    CENTER = "center"
    EAST = "east"
    SOUTH_WEST = "south_west"
    SOUTH = "south"
    SOUTH_EAST = "south_east"


class ScaleOf(StrEnum):
    """The side of the image that a watermark's scale and margin are a share of."""

    WIDTH = "width"
    HEIGHT = "height"
    SHORTER = "shorter"
    LONGER = "longer"


LATER = {"later": True}
"""Marks fields that were added later. At their defaults they are not part of fingerprints, so that no image that was
stored before is relayed again."""

CENTER = (0.5, 0.5)


def parse_focus(text: str) -> tuple[float, float]:
    """Return the point of an image that stays visible, as shares of its width and height: an anchor or `0.3,0.6`.

    Raises:
        RelayError: it is neither.
    """
    if text in tuple(Anchor):
        anchor = Anchor(text)
        return _relative_position(anchor, Anchor.WEST, Anchor.EAST), _relative_position(
            anchor, Anchor.NORTH, Anchor.SOUTH
        )
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = -1.0
    if 0 <= x <= 1 and 0 <= y <= 1:
        return x, y
    raise RelayError(f"focus {text!r} is neither an anchor such as north nor two shares from 0 to 1 such as 0.3,0.6")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the template is drawn over an image. Raises RelayError when a number is out of range.

    Attributes:
        mode: frame or watermark.
        canvas, fit: used in frame mode only.
        anchor: the watermark's position; like `scale` and `margin` used in watermark mode only.
        scale: the template's width as a fraction of the image's width, above 0 and at most 1.
        margin: the template's distance from the edges as a fraction of the image's width, 0 to 1.
        opacity: 0 (invisible) to 1.
        window: `canvas: template` only: the part of the template that the image is fitted to; None is all of it.
        focus: `fit: cover` only: the point of the image that stays visible, an anchor or `0.3,0.6`.
        scale_of: the side of the image that `scale` and `margin` are a share of, instead of its width.
        limits: on the size of the image; those that scale it are not used with `canvas: template`.
    """

    mode: Mode = Mode.FRAME
    canvas: Canvas = Canvas.IMAGE
    fit: Fit = Fit.COVER
    anchor: Anchor = Anchor.SOUTH_EAST
    scale: float = 0.25
    margin: float = 0.02
    opacity: float = 1.0
    window: Any = field(default=None, metadata=LATER)
    focus: str = field(default="center", metadata=LATER)
    scale_of: ScaleOf = field(default=ScaleOf.WIDTH, metadata=LATER)
    limits: SizeLimits = field(default=SizeLimits(), metadata=LATER)

    @property
    def uses_focus(self) -> bool:
        """Whether the focus has an effect."""
        return self.mode is Mode.FRAME and self.canvas is Canvas.TEMPLATE and self.fit is Fit.COVER

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise RelayError(f"layout scale {self.scale} is not above 0 and at most 1")
        if not 0 <= self.margin <= 1:
            raise RelayError(f"layout margin {self.margin} is not between 0 and 1")
        if not 0 <= self.opacity <= 1:
            raise RelayError(f"layout opacity {self.opacity} is not between 0 and 1")
        parse_focus(self.focus)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture, the image or the template, is drawn on a canvas.

    Attributes:
        offset: the top left corner on the canvas.
        size: width and height on the canvas, never beyond its edges.
        part: the visible box of the picture, in the picture's own pixels.
    """

    offset: tuple[int, int]
    size: Size
    part: Box


def place_image(canvas: Size, image: Size, fit: Fit, focus: tuple[float, float] = CENTER) -> Placement:
    """Fit an image to a canvas, centered; what `cover` crops depends on the focus."""
    match fit:
        case Fit.STRETCH:
            return stretch(canvas, image)
        case Fit.COVER:
            return _cover(canvas, image, focus)
        case Fit.CONTAIN:
            return _contain(canvas, image)


def place_template(canvas: Size, template: Size, layout: Layout) -> Placement:
    """Place a template on a canvas, as a frame or a watermark."""
    if layout.mode == Mode.FRAME:
        return stretch(canvas, template)
    side = _side(canvas, layout.scale_of)
    width = max(1, round(side * layout.scale))
    height = max(1, round(width * template[1] / template[0]))
    if width > canvas[0] or height > canvas[1]:  # it is seen whole: on a flat or narrow image it shrinks
        scale = min(canvas[0] / template[0], canvas[1] / template[1])
        width, height = (min(max(1, round(scale * template[axis])), canvas[axis]) for axis in (0, 1))
    margin = round(side * layout.margin)
    left, visible_width, part_left, part_right = _place_on_axis(
        canvas[0], width, template[0], margin, _relative_position(layout.anchor, Anchor.WEST, Anchor.EAST)
    )
    top, visible_height, part_top, part_bottom = _place_on_axis(
        canvas[1], height, template[1], margin, _relative_position(layout.anchor, Anchor.NORTH, Anchor.SOUTH)
    )
    return Placement((left, top), (visible_width, visible_height), (part_left, part_top, part_right, part_bottom))


def _side(image: Size, scale_of: ScaleOf) -> int:
    sides = {ScaleOf.WIDTH: image[0], ScaleOf.HEIGHT: image[1], ScaleOf.SHORTER: min(image), ScaleOf.LONGER: max(image)}
    return sides[scale_of]


def stretch(canvas: Size, picture: Size) -> Placement:
    """Stretch the whole picture over the whole canvas."""
    return Placement((0, 0), canvas, (0, 0, *picture))


def scaled_size(placement: Placement, picture: Size) -> Size:
    """Return the size that the whole picture is scaled to, including what the canvas crops; rounded up to pixels."""
    left, top, right, bottom = placement.part
    return (
        math.ceil(placement.size[0] * picture[0] / (right - left)),
        math.ceil(placement.size[1] * picture[1] / (bottom - top)),
    )


@dataclass(frozen=True, slots=True)
class ScaledToFit:
    """The size to which a picture of any size is scaled so that it fits a canvas."""

    canvas: Size
    fit: Fit

    def __call__(self, picture: Size) -> Size:
        """The scaled size of a picture of this size, including what the canvas crops."""
        return scaled_size(place_image(self.canvas, picture, self.fit), picture)


def _cover(canvas: Size, image: Size, focus: tuple[float, float]) -> Placement:
    scale = max(canvas[0] / image[0], canvas[1] / image[1])
    width = min(image[0], canvas[0] / scale)
    height = min(image[1], canvas[1] / scale)
    left = min(max(image[0] * focus[0] - width / 2, 0), image[0] - width)
    top = min(max(image[1] * focus[1] - height / 2, 0), image[1] - height)
    part = (left, top, min(left + width, image[0]), min(top + height, image[1]))
    return Placement((0, 0), canvas, part)


def _contain(canvas: Size, image: Size) -> Placement:
    scale = min(canvas[0] / image[0], canvas[1] / image[1])
    width = max(1, min(canvas[0], round(image[0] * scale)))
    height = max(1, min(canvas[1], round(image[1] * scale)))
    offset = ((canvas[0] - width) // 2, (canvas[1] - height) // 2)
    return Placement(offset, (width, height), (0, 0, *image))


def _relative_position(anchor: Anchor, start: Anchor, end: Anchor) -> float:
    """Return an anchor's position between two opposite sides: 0 at `start`, 1 at `end`, 0.5 in the middle."""
    sides = anchor.split("_")
    return 0.0 if start in sides else 1.0 if end in sides else 0.5


def _place_on_axis(
    canvas: int, length: int, picture: int, margin: int, position: float
) -> tuple[int, int, float, float]:
    """Place a watermark on one axis; return offset and length on the canvas, then start and end of the visible part.

    A margin that would push the watermark off the canvas is reduced.

    Args:
        canvas: the canvas's length in pixels.
        length: the watermark's length on the canvas in pixels.
        picture: the template's own length in pixels.
        margin: pixels between watermark and edge.
        position: 0 at the start of the axis, 1 at its end.
    """
    free = canvas - length
    margin = min(margin, free // 2 if position == 0.5 else free)
    offset = margin + round((free - 2 * margin) * position)
    return offset, length, 0, picture
