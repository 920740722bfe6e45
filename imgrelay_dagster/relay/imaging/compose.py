"""Compose one image with one template: decode, fit to the canvas, draw the template over it, encode."""

from dataclasses import dataclass, replace
from functools import partial

from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.imaging.decode import Decoded, Source
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.kept import color_in_profile
from imgrelay_dagster.relay.imaging.layout import (
    Canvas,
    Fit,
    Layout,
    Mode,
    Placement,
    ScaledToFit,
    Size,
    parse_focus,
    place_image,
    place_template,
    stretch,
)
from imgrelay_dagster.relay.imaging.memory import is_memory_shortage
from imgrelay_dagster.relay.imaging.output import Format, JpegOptions, Output, check_encodable, encode
from imgrelay_dagster.relay.imaging.output_limit import encode_within_limit
from imgrelay_dagster.relay.imaging.template import Template, resize
from imgrelay_dagster.relay.outcomes import Reason

__all__ = ["COMPOSER_VERSION", "Composed", "Format", "JpegOptions", "Output", "Template", "compose", "compose_source"]

COMPOSER_VERSION = 1
"""Part of every fingerprint. Raise it when the output bytes change on purpose; every image is then relayed again."""


@dataclass(frozen=True, slots=True)
class Composed:
    """An encoded image and its size in pixels.

    `frames` is that of `Decoded`. `extension` is that of the format, without a dot. `quality` is None for PNG.
    """

    data: bytes
    width: int
    height: int
    frames: int | None = 1
    extension: str = ""
    quality: int | None = None


def compose(data: bytes, template: Template, layout: Layout, output: Output, *, max_pixels: int) -> Composed:
    """Draw the template over the image in `data` and encode the result.

    The same arguments give the same bytes. The output carries no metadata.

    Args:
        data: the image file's bytes.
        max_pixels: an image with more pixels is refused before it is decoded.

    Raises:
        EntryFailure: empty_body, unsupported_format, too_many_pixels, too_small, corrupt_image, too_costly,
            compose_error, output_too_large.
        MemoryError: memory is short, which says nothing about the image.
    """
    return compose_source(Source.inspect(data, max_pixels), template, layout, output)


def compose_source(
    source: Source, template: Template, layout: Layout, output: Output, *, decoders: DecoderPool | None = None
) -> Composed:
    """Do what `compose` does, for a file that is inspected already.

    Args:
        decoders: decode the image in another process; None decodes it in this one. The result is the same.

    Raises:
        EntryFailure: corrupt_image, too_small, too_many_pixels, too_costly, compose_error,
            output_too_large.
        MemoryError: memory is short.
        Stopped: the run is being stopped.
    """
    output = output.of_source(source.format)
    uses_template_canvas = layout.mode == Mode.FRAME and layout.canvas == Canvas.TEMPLATE
    target = None
    if uses_template_canvas:
        check_encodable(template.size, output)
        target = ScaledToFit(_window_size(template, layout), layout.fit)
    elif layout.limits.scales:
        target = ScaledToFit(layout.limits.box, Fit.CONTAIN)
    else:
        check_encodable((source.width, source.height), output)
    decode = source.decode if decoders is None else partial(decoders.decode, source)
    decoded = decode(target, output.keep)
    layout.limits.check(decoded.full_size)
    try:
        if profile := decoded.kept.profile:
            template = template.in_profile(profile)
            output = replace(output, background=color_in_profile(output.background, profile))
        # What is not needed any more is let go of: an image of 50 megapixels takes 191 MiB.
        decoded = replace(decoded, image=_flatten(decoded.image, output))
        if uses_template_canvas:
            canvas = _fit_into(decoded, template, layout, output)
        else:
            canvas = _limit(decoded, layout.limits.scaled(decoded.full_size, source.max_pixels), output)
        template.draw(canvas, place_template(canvas.size, template.size, layout), layout.opacity)
    except (MemoryError, EntryFailure):
        raise
    except Exception as error:
        if is_memory_shortage(error):
            raise MemoryError(str(error)) from error
        cause = str(error) or type(error).__name__
        detail = f"laying template {template.name!r} over the image failed: {cause}"
        raise EntryFailure(Reason.COMPOSE_ERROR, detail) from error
    data, quality = encode_within_limit(canvas, output, partial(encode, metadata=decoded.kept.encoder_options()))
    return Composed(data, *canvas.size, decoded.frames, output.extension.removeprefix("."), quality)


def _window_size(template: Template, layout: Layout) -> Size:
    try:
        left, top, right, bottom = template.window(layout.window)
    except RelayError as error:
        raise EntryFailure(Reason.COMPOSE_ERROR, str(error)) from error
    return right - left, bottom - top


def _place(template: Template, image: Size, layout: Layout) -> Placement:
    """Place an image of this size on a canvas of the template's size: in the window."""
    left, top, right, bottom = template.window(layout.window)
    placement = place_image((right - left, bottom - top), image, layout.fit, parse_focus(layout.focus))
    offset = placement.offset[0] + left, placement.offset[1] + top
    return replace(placement, offset=offset)


def _limit(decoded: Decoded, size: Size, output: Output) -> Image.Image:
    """Return the image, scaled to this size."""
    check_encodable(size, output)
    if decoded.image.size == size and decoded.full_size == size:
        return decoded.image
    return _resized(stretch(size, decoded.full_size), decoded)


def _fit_into(decoded: Decoded, template: Template, layout: Layout, output: Output) -> Image.Image:
    """Return the image on a canvas of the template's size."""
    placement = _place(template, decoded.full_size, layout)
    fitted = _resized(placement, decoded)
    return fitted if fitted.size == template.size else _pad(fitted, template.size, placement.offset, output)


def _resized(placement: Placement, decoded: Decoded) -> Image.Image:
    """Return the visible part of the image, scaled to the placement's size.

    A filter that is sharper makes up for a decoder that left less than twice the pixels.
    """
    placement = _in_decoded_pixels(placement, decoded)
    left, top, right, bottom = placement.part
    left_over = min((right - left) / placement.size[0], (bottom - top) / placement.size[1])
    return resize(decoded.image, placement, sharper=decoded.image.size != decoded.full_size and left_over < 2)


def _flatten(image: Image.Image, output: Output) -> Image.Image:
    """Return the image; if the format has no alpha, with the background colour behind its transparent pixels."""
    if image.mode != "RGBA" or output.keeps_alpha:
        return image
    opaque = Image.new("RGB", image.size, output.background_rgba[:3])
    opaque.paste(image, (0, 0), image)
    return opaque


def _pad(image: Image.Image, canvas: Size, offset: tuple[int, int], output: Output) -> Image.Image:
    """Place the image on a canvas of background colour. Its own transparent pixels stay transparent."""
    background = output.background_rgba
    mode = "RGBA" if image.mode == "RGBA" or background[3] < 255 else "RGB"
    padded = Image.new(mode, canvas, background if mode == "RGBA" else background[:3])
    padded.paste(image, offset)
    return padded


def _in_decoded_pixels(placement: Placement, decoded: Decoded) -> Placement:
    """Return the placement with its `part` converted from the full image to the pixels that were decoded."""
    left, top, right, bottom = decoded.extent
    scale_x, scale_y = (right - left) / decoded.full_size[0], (bottom - top) / decoded.full_size[1]
    part = placement.part
    decoded_part = (
        left + part[0] * scale_x,
        top + part[1] * scale_y,
        min(left + part[2] * scale_x, decoded.image.width),
        min(top + part[3] * scale_y, decoded.image.height),
    )
    return Placement(placement.offset, placement.size, decoded_part)
