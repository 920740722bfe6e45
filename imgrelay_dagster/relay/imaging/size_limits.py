"""Limits on the size of an image: the smallest that is accepted, and the largest that a template is laid on."""

from dataclasses import dataclass

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.outcomes import Reason

UNLIMITED = 1 << 31
"""More pixels than any side has."""


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """Limits in pixels of the upright image; None is no limit. Raises RelayError when they contradict each other.

    Attributes:
        max_width, max_height: an image that is larger is reduced to fit both, in proportion.
        enlarge: an image that is smaller than both is enlarged until it reaches one.
        min_width, min_height: an image that is smaller is refused.
    """

    max_width: int | None = None
    max_height: int | None = None
    enlarge: bool = False
    min_width: int | None = None
    min_height: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_width", "max_height", "min_width", "min_height"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RelayError(f"layout {name} {value} is not at least 1")
        if self.enlarge and not self.scales:
            raise RelayError("layout enlarge needs a size to enlarge to; set layout max_width or max_height")

    @property
    def scales(self) -> bool:
        """Whether an image may have to be scaled."""
        return self.max_width is not None or self.max_height is not None

    @property
    def box(self) -> tuple[int, int]:
        """The width and height that an image is scaled to fit."""
        return self.max_width or UNLIMITED, self.max_height or UNLIMITED

    def check(self, image: tuple[int, int]) -> None:
        """Raise EntryFailure (too_small) if an upright image of this width and height is smaller than allowed."""
        smallest = {"width": self.min_width, "height": self.min_height}
        for (side, least), pixels in zip(smallest.items(), image, strict=True):
            if least is not None and pixels < least:
                detail = f"the image has {image[0]}x{image[1]} pixels; layout min_{side} is {least}"
                raise EntryFailure(Reason.TOO_SMALL, detail)

    def scaled(self, image: tuple[int, int], max_pixels: int) -> tuple[int, int]:
        """Return the width and height that an upright image is scaled to.

        Raises:
            EntryFailure: too_many_pixels: it would be enlarged to more than `max_pixels`.
        """
        scale = min(limit / side for limit, side in zip(self.box, image, strict=True))
        if not self.scales or scale == 1 or (scale > 1 and not self.enlarge):
            return image
        width, height = (max(1, min(limit, round(side * scale))) for limit, side in zip(self.box, image, strict=True))
        if scale > 1 and width * height > max_pixels:
            detail = f"enlarged to {width}x{height} it would have {width * height} pixels; the limit is {max_pixels}"
            raise EntryFailure(Reason.TOO_MANY_PIXELS, detail)
        return width, height
