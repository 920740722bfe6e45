"""Geometry: where the image and the template are placed on the canvas. Computes with sizes only.

Sizes are (width, height) in pixels; every function accepts any size of at least 1x1.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from imgrelay_dagster.relay.errors import RelayError

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
    """

    mode: Mode = Mode.FRAME
    canvas: Canvas = Canvas.IMAGE
    fit: Fit = Fit.COVER
    anchor: Anchor = Anchor.SOUTH_EAST
    scale: float = 0.25
    margin: float = 0.02
    opacity: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise RelayError(f"layout scale {self.scale} is not above 0 and at most 1")
        if not 0 <= self.margin <= 1:
            raise RelayError(f"layout margin {self.margin} is not between 0 and 1")
        if not 0 <= self.opacity <= 1:
            raise RelayError(f"layout opacity {self.opacity} is not between 0 and 1")


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


def place_image(canvas: Size, image: Size, fit: Fit) -> Placement:
    """Fit an image to a canvas, centered."""
    match fit:
        case Fit.STRETCH:
            return stretch(canvas, image)
        case Fit.COVER:
            return _cover(canvas, image)
        case Fit.CONTAIN:
            return _contain(canvas, image)


def place_template(canvas: Size, template: Size, layout: Layout) -> Placement:
    """Place a template on a canvas, as a frame or a watermark."""
    if layout.mode == Mode.FRAME:
        return stretch(canvas, template)
    width = max(1, round(canvas[0] * layout.scale))
    height = max(1, round(width * template[1] / template[0]))
    margin = round(canvas[0] * layout.margin)
    left, visible_width, part_left, part_right = _place_on_axis(
        canvas[0], width, template[0], margin, _relative_position(layout.anchor, Anchor.WEST, Anchor.EAST)
    )
    top, visible_height, part_top, part_bottom = _place_on_axis(
        canvas[1], height, template[1], margin, _relative_position(layout.anchor, Anchor.NORTH, Anchor.SOUTH)
    )
    return Placement((left, top), (visible_width, visible_height), (part_left, part_top, part_right, part_bottom))


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


def _cover(canvas: Size, image: Size) -> Placement:
    scale = max(canvas[0] / image[0], canvas[1] / image[1])
    width = min(image[0], canvas[0] / scale)
    height = min(image[1], canvas[1] / scale)
    left, top = (image[0] - width) / 2, (image[1] - height) / 2
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

    A margin that would push the watermark off the canvas is reduced. A watermark longer than the canvas is cropped
    on the side away from its anchor.

    Args:
        canvas: the canvas's length in pixels.
        length: the watermark's length on the canvas in pixels.
        picture: the template's own length in pixels.
        margin: pixels between watermark and edge.
        position: 0 at the start of the axis, 1 at its end.
    """
    free = canvas - length
    if free < 0:
        hidden = -free * position
        scale = picture / length
        return 0, canvas, hidden * scale, min((hidden + canvas) * scale, picture)
    margin = min(margin, free // 2 if position == 0.5 else free)
    offset = margin + round((free - 2 * margin) * position)
    return offset, length, 0, picture
