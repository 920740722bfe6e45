"""One image and one template become one encoded picture: decode, fit, lay over, encode."""

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import Decoded, Source
from imgrelay_dagster.relay.imaging.layout import (
    Canvas,
    Layout,
    Mode,
    Placement,
    Size,
    drawn_size,
    place_image,
    place_template,
)
from imgrelay_dagster.relay.imaging.output import Format, Output, check_encodable, encode
from imgrelay_dagster.relay.imaging.pixel_budget import PixelBudget
from imgrelay_dagster.relay.imaging.template import Template, scaled
from imgrelay_dagster.relay.outcomes import Reason

__all__ = ["COMPOSER_VERSION", "Composed", "Format", "Output", "Template", "compose"]

COMPOSER_VERSION = 1
"""Part of every fingerprint. Raise it when the output bytes change on purpose: all is then relayed anew."""


@dataclass(frozen=True, slots=True)
class Composed:
    """An encoded picture and its size in pixels."""

    data: bytes
    width: int
    height: int


def compose(
    source: bytes,
    template: Template,
    layout: Layout,
    output: Output,
    *,
    max_pixels: int,
    budget: PixelBudget | None = None,
    stop: threading.Event | None = None,
) -> Composed:
    """Lay the template over the image in `source`, and encode the result.

    The same arguments give the same bytes, without metadata. Images above `max_pixels` are refused before
    they are decoded; with a `budget`, decoding waits until it has room for this image.

    Raises:
        EntryFailure: empty_body, unsupported_format, too_many_pixels, corrupt_image, compose_error.
        Stopped: `stop` was set while the budget had no room.
    """
    picture = Source.inspect(source, max_pixels)
    on_template = layout.mode == Mode.FRAME and layout.canvas == Canvas.TEMPLATE
    check_encodable(template.size if on_template else (picture.width, picture.height), output)
    room: AbstractContextManager[None] = budget.hold(picture.pixels, stop) if budget else nullcontext()
    with room:
        if on_template:
            decoded = picture.decode(lambda full: drawn_size(place_image(template.size, full, layout.fit), full))
        else:
            decoded = picture.decode()
        try:
            canvas = _base(decoded, template.size if on_template else None, layout, output)
            template.draw(canvas, place_template(canvas.size, template.size, layout), layout.opacity)
        except Exception as error:
            cause = str(error) or type(error).__name__
            detail = f"laying template {template.name!r} over the image failed: {cause}"
            raise EntryFailure(Reason.COMPOSE_ERROR, detail) from error
        return Composed(encode(canvas, output), canvas.width, canvas.height)


def _base(decoded: Decoded, canvas: Size | None, layout: Layout, output: Output) -> Image.Image:
    """What the template is laid over: the image itself, or fitted into `canvas` where there is one."""
    image = decoded.image
    if image.mode == "RGBA" and not output.keeps_alpha:
        image = _on_background(image, output)
    if canvas is None:
        return image
    placement = place_image(canvas, decoded.full_size, layout.fit)
    drawn = scaled(image, _within(placement, decoded))
    return drawn if drawn.size == canvas else _padded(drawn, canvas, placement.offset, output)


def _on_background(image: Image.Image, output: Output) -> Image.Image:
    opaque = Image.new("RGB", image.size, output.background_rgba[:3])
    opaque.paste(image, (0, 0), image)
    return opaque


def _padded(image: Image.Image, canvas: Size, offset: tuple[int, int], output: Output) -> Image.Image:
    """The image on a canvas of background colour. Its own transparent pixels stay transparent."""
    background = output.background_rgba
    mode = "RGBA" if image.mode == "RGBA" or background[3] < 255 else "RGB"
    padded = Image.new(mode, canvas, background if mode == "RGBA" else background[:3])
    padded.paste(image, offset)
    return padded


def _within(placement: Placement, decoded: Decoded) -> Placement:
    """The same placement, its part counted in the pixels that were decoded."""
    left, top, right, bottom = decoded.extent
    x, y = (right - left) / decoded.full_size[0], (bottom - top) / decoded.full_size[1]
    part = placement.part
    decoded_part = (
        left + part[0] * x,
        top + part[1] * y,
        min(left + part[2] * x, decoded.image.width),
        min(top + part[3] * y, decoded.image.height),
    )
    return Placement(placement.offset, placement.size, decoded_part)
