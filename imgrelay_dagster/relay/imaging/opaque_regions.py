"""Split a template layer into its visible regions, so that drawing skips transparent areas.

A frame is mostly transparent, and compositing transparent pixels takes as long as compositing opaque ones.
"""

import re
from collections.abc import Iterator

from PIL import Image

from imgrelay_dagster.relay.imaging.layout import Size

BAND_HEIGHT = 64
"""Pixels: the layer is searched for visible pixels in horizontal bands of this height."""

_VISIBLE_RUN = re.compile(rb"\x01+(?:\x00{1,63}\x01+)*")
"""A run of visible columns of a band; gaps under 64 columns are too narrow to be worth a second region."""

Region = tuple[Image.Image, Size]
"""A part of a layer, and the position of its top left corner in the layer."""


def split_into_regions(layer: Image.Image) -> tuple[Region, ...]:
    """Split an RGBA layer into regions. All pixels outside them are transparent; no two regions overlap."""
    return tuple((layer.crop(box), (box[0], box[1])) for box in _boxes(layer.getchannel("A")))


def _boxes(alpha: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes that contain every pixel above 0. Consecutive bands with the same columns share one box."""
    open_runs: list[tuple[int, int]] = []
    top = 0
    for y in range(0, alpha.height, BAND_HEIGHT):
        columns, _ = alpha.crop((0, y, alpha.width, min(y + BAND_HEIGHT, alpha.height))).getprojection()
        runs = [found.span() for found in _VISIBLE_RUN.finditer(bytes(columns))]
        if runs != open_runs:
            yield from ((left, top, right, y) for left, right in open_runs)
            open_runs, top = runs, y
    yield from ((left, top, right, alpha.height) for left, right in open_runs)
