"""The part of a template that the picture fills: given in pixels or percent, or found as its largest hole."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from PIL import Image

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.layout import Size

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels."""

AUTO = "auto"
SEE_THROUGH = 128
"""Alpha below which a pixel of a template belongs to a hole."""

MAX_RUNS = 200_000
"""Horizontal runs of see-through pixels that are joined to holes; a drawn frame has a few thousand."""

_SIDES = ("x", "y", "width", "height")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)")
_RUN = re.compile(rb"\x01+")


@dataclass(frozen=True, slots=True)
class Window:
    """A box of a template. Each value is a number of pixels, or percent of the template's side, as in `12.5%`."""

    x: str
    y: str
    width: str
    height: str

    def resolve(self, template: Size) -> PixelBox:
        """Return the box in pixels. Raises RelayError when it is empty or not inside the template."""
        left, width = (_pixels(value, template[0]) for value in (self.x, self.width))
        top, height = (_pixels(value, template[1]) for value in (self.y, self.height))
        box = round(left), round(top), round(left + width), round(top + height)
        if box[0] >= box[2] or box[1] >= box[3] or box[2] > template[0] or box[3] > template[1]:
            where = f"x {self.x}, y {self.y}, width {self.width}, height {self.height}"
            message = f"layout window ({where}) is not a box inside the template of {template[0]}x{template[1]} pixels"
            raise RelayError(f"{message}; `imgrelay template show` draws it")
        return box


def parse_window(value: object) -> Window | str | None:
    """Return a window from the run config: a mapping, `auto`, or None.

    Raises:
        RelayError: it is anything else.
    """
    if value is None or value == AUTO:
        return AUTO if value else None
    if isinstance(value, Mapping) and set(value) == set(_SIDES):
        texts = [str(value[side]).strip() for side in _SIDES]
        if all(_NUMBER.fullmatch(text) for text in texts):
            return Window(*texts)
    hint = "write auto, or x, y, width and height in pixels (40) or percent of the template (12.5%)"
    raise RelayError(f"layout window {value!r} is not a window; {hint}")


def find_window(template: Image.Image) -> PixelBox:
    """Return the box around the largest hole of an RGBA template; the whole template if it has none.

    A hole is a connected area of pixels whose alpha is below `SEE_THROUGH`.
    """
    table = [1] * SEE_THROUGH + [0] * (256 - SEE_THROUGH)
    mask = template.getchannel("A").point(table).tobytes()
    holes = _Holes()
    for y in range(template.height):
        row = mask[y * template.width : (y + 1) * template.width]
        if not holes.add_row(y, (found.span() for found in _RUN.finditer(row))):
            break
    return holes.largest() or (0, 0, *template.size)


class _Holes:
    """Joins runs of neighbouring rows to areas (union-find); of each area its box and its pixels are kept."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._boxes: list[PixelBox] = []
        self._pixels: list[int] = []
        self._above: list[tuple[int, int, int]] = []

    def add_row(self, y: int, runs: Iterator[tuple[int, int]]) -> bool:
        """Add the runs of the next row; false when there are too many."""
        row: list[tuple[int, int, int]] = []
        first = 0
        for left, right in runs:
            area = len(self._parents)
            self._parents.append(area)
            self._boxes.append((left, y, right, y + 1))
            self._pixels.append(right - left)
            while first < len(self._above) and self._above[first][1] <= left:
                first += 1
            for above_left, _, other in self._above[first:]:
                if above_left >= right:
                    break
                self._join(area, other)
            row.append((left, right, area))
        self._above = row
        return len(self._parents) <= MAX_RUNS

    def largest(self) -> PixelBox | None:
        """The box of the area with the most pixels."""
        areas = [area for area, parent in enumerate(self._parents) if area == parent]
        return self._boxes[max(areas, key=lambda area: self._pixels[area])] if areas else None

    def _find(self, area: int) -> int:
        while self._parents[area] != area:
            self._parents[area] = self._parents[self._parents[area]]
            area = self._parents[area]
        return area

    def _join(self, area: int, other: int) -> None:
        area, other = self._find(area), self._find(other)
        if area == other:
            return
        self._parents[area] = other
        one, two = self._boxes[area], self._boxes[other]
        self._boxes[other] = min(one[0], two[0]), min(one[1], two[1]), max(one[2], two[2]), max(one[3], two[3])
        self._pixels[other] += self._pixels[area]


def _pixels(value: str, side: int) -> float:
    found = _NUMBER.fullmatch(value)
    assert found is not None
    return float(found[1]) * side / 100 if found[2] else float(found[1])
