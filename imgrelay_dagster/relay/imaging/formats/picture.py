"""What the decoder of a format returns."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from imgrelay_dagster.relay.imaging.layout import Size

_BAND_HEIGHT = 64
"""Pixels. A conversion in bands of this height needs no copy of the whole picture."""

Reduce = Callable[[Size], Size]
"""Maps the full upright size to the upright size that the image will be scaled to, in pixels."""


@dataclass(frozen=True, slots=True)
class CodePoints:
    """Colour primaries and transfer characteristics by their numbers in ITU-T H.273."""

    primaries: int
    transfer: int


Colors = bytes | CodePoints | None
"""How a file states its colours: by an ICC profile, by code points, or not at all, which means sRGB."""


@dataclass(slots=True)
class Picture:
    """A decoded image as it is stored: not upright, in its own colours, in any of Pillow's modes.

    Attributes:
        size: the full stored size in pixels; `image` may be smaller if the decoder reduced it.
        colors: how the file states its colours.
        orientation: as in EXIF, 1 to 8; 1 is upright.
        covered: width and height of `image` that the whole picture covers, if not all of it.
        depth: bits of each sample of a PNG; a transparent colour is stated at this depth.
        frames: frames of an animation; 1 for a still image, None if there are too many to count.
        exif: its EXIF data as a TIFF structure, if it has any.
    """

    image: Image.Image
    size: Size
    colors: Colors = None
    orientation: int = 1
    covered: tuple[float, float] | None = None
    depth: int | None = None
    frames: int | None = 1
    exif: bytes | None = None


def on_transparent_canvas(frame: Image.Image, canvas: Size, position: tuple[int, int]) -> Image.Image:
    """Return the frame on a transparent canvas: what a browser shows outside a first frame that is smaller.

    `frame` is in mode L, LA, RGB or RGBA.
    """
    has_alpha = frame.mode in ("LA", "RGBA")
    placed = Image.new("RGBA", canvas, (0, 0, 0, 0))
    for top in range(0, frame.height, _BAND_HEIGHT):
        band = frame.crop((0, top, frame.width, min(top + _BAND_HEIGHT, frame.height)))
        placed.paste(band.convert("RGBA" if has_alpha else "RGB"), (position[0], position[1] + top))
    return placed
