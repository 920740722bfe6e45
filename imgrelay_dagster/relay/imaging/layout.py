"""Where the template and the image go on the canvas: geometry from sizes alone, no pixels touched.

Sizes are (width, height) in pixels. Every function works for any sizes of at least 1x1.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from imgrelay_dagster.relay.errors import RelayError

Size = tuple[int, int]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; fractions allowed."""


class Mode(StrEnum):
    """What the template does: cover the whole canvas, or mark one place of the image."""

    FRAME = "frame"
    WATERMARK = "watermark"


class Canvas(StrEnum):
    """Whose size the output takes in frame mode."""

    IMAGE = "image"
    TEMPLATE = "template"


class Fit(StrEnum):
    """How an image fills a canvas of another shape; the words and meanings of CSS `object-fit`."""

    COVER = "cover"
    CONTAIN = "contain"
    STRETCH = "stretch"


class Anchor(StrEnum):
    """The place of the image that a watermark keeps to."""

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
    """How the template is laid over an image.

    `canvas` and `fit` are read in frame mode, `anchor`, `scale` and `margin` in watermark mode. `scale` is
    the template's width and `margin` its distance from the edges, both as shares of the image's width;
    `opacity` runs from 0 (unseen) to 1. Raises RelayError when a share is out of bounds.
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
    """One picture drawn on a canvas.

    `offset` is the left top corner and `size` the extent on the canvas, never beyond its edges; `part` is
    what is seen of the picture, in the picture's own pixels.
    """

    offset: tuple[int, int]
    size: Size
    part: Box


def place_image(canvas: Size, image: Size, fit: Fit) -> Placement:
    """Fit an image into a canvas, centered."""
    match fit:
        case Fit.STRETCH:
            return stretched(canvas, image)
        case Fit.COVER:
            return _covering(canvas, image)
        case Fit.CONTAIN:
            return _contained(canvas, image)


def place_template(canvas: Size, template: Size, layout: Layout) -> Placement:
    """Lay a template over a finished canvas, as the layout's mode asks."""
    if layout.mode == Mode.FRAME:
        return stretched(canvas, template)
    width = max(1, round(canvas[0] * layout.scale))
    height = max(1, round(width * template[1] / template[0]))
    margin = round(canvas[0] * layout.margin)
    left, seen_width, part_left, part_right = _anchored(
        canvas[0], width, template[0], margin, _share(layout.anchor, Anchor.WEST, Anchor.EAST)
    )
    top, seen_height, part_top, part_bottom = _anchored(
        canvas[1], height, template[1], margin, _share(layout.anchor, Anchor.NORTH, Anchor.SOUTH)
    )
    return Placement((left, top), (seen_width, seen_height), (part_left, part_top, part_right, part_bottom))


def stretched(canvas: Size, picture: Size) -> Placement:
    """The whole picture on the whole canvas, whatever its proportions."""
    return Placement((0, 0), canvas, (0, 0, *picture))


def drawn_size(placement: Placement, picture: Size) -> Size:
    """The size in pixels the whole picture is scaled to, counting what the canvas cuts off; rounded up."""
    left, top, right, bottom = placement.part
    return (
        math.ceil(placement.size[0] * picture[0] / (right - left)),
        math.ceil(placement.size[1] * picture[1] / (bottom - top)),
    )


def _covering(canvas: Size, image: Size) -> Placement:
    scale = max(canvas[0] / image[0], canvas[1] / image[1])
    width = min(image[0], canvas[0] / scale)
    height = min(image[1], canvas[1] / scale)
    left, top = (image[0] - width) / 2, (image[1] - height) / 2
    part = (left, top, min(left + width, image[0]), min(top + height, image[1]))
    return Placement((0, 0), canvas, part)


def _contained(canvas: Size, image: Size) -> Placement:
    scale = min(canvas[0] / image[0], canvas[1] / image[1])
    width = max(1, min(canvas[0], round(image[0] * scale)))
    height = max(1, min(canvas[1], round(image[1] * scale)))
    offset = ((canvas[0] - width) // 2, (canvas[1] - height) // 2)
    return Placement(offset, (width, height), (0, 0, *image))


def _share(anchor: Anchor, start: Anchor, end: Anchor) -> float:
    """Where an anchor lies between two opposite sides: 0 at `start`, 1 at `end`, 0.5 between them."""
    sides = anchor.split("_")
    return 0.0 if start in sides else 1.0 if end in sides else 0.5


def _anchored(canvas: int, drawn: int, picture: int, margin: int, share: float) -> tuple[int, int, float, float]:
    """One axis of a watermark: offset and extent on the canvas, then start and end of the part seen.

    A margin that would push the watermark off the canvas gives way; a watermark longer than the canvas is
    clipped on the side away from its anchor.
    """
    room = canvas - drawn
    if room < 0:
        hidden = -room * share
        scale = picture / drawn
        return 0, canvas, hidden * scale, min((hidden + canvas) * scale, picture)
    margin = min(margin, room // 2 if share == 0.5 else room)
    offset = margin + round((room - 2 * margin) * share)
    return offset, drawn, 0, picture
