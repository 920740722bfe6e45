"""A layer without what does not show: a frame is mostly a hole, and laying nothing over pixels takes time too."""

import re
from collections.abc import Iterator

from PIL import Image

from imgrelay_dagster.relay.imaging.layout import Size

BAND = 64
"""Pixels: the height of the bands in which is looked for what shows."""

_RUN = re.compile(rb"\x01+(?:\x00{1,63}\x01+)*")
"""Columns of a band that show, with the gaps between them that are too narrow to be worth two pieces."""

Piece = tuple[Image.Image, Size]
"""Some of a layer's pixels, and where in the layer they lie."""


def cut(layer: Image.Image) -> tuple[Piece, ...]:
    """The pieces of a layer in RGBA outside which all its pixels are transparent. Laid one by one they make it up."""
    return tuple((layer.crop(box), (box[0], box[1])) for box in _boxes(layer.getchannel("A")))


def _boxes(alpha: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Boxes that hold every pixel above 0, no two overlapping: bands with the same columns are one."""
    open_runs: list[tuple[int, int]] = []
    top = 0
    for y in range(0, alpha.height, BAND):
        columns, _ = alpha.crop((0, y, alpha.width, min(y + BAND, alpha.height))).getprojection()
        runs = [found.span() for found in _RUN.finditer(bytes(columns))]
        if runs != open_runs:
            yield from ((left, top, right, y) for left, right in open_runs)
            open_runs, top = runs, y
    yield from ((left, top, right, alpha.height) for left, right in open_runs)
