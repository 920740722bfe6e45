"""What is stored: the output's format and options, and the encoding into it."""

import io
from dataclasses import dataclass
from enum import StrEnum

from PIL import Image, ImageColor

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.outcomes import Reason

PNG_COMPRESS_LEVEL = 4
"""800x600, ms and kB at level 1 / 4 / 6 / 9. Photo: 58, 1106 / 80, 1038 / 80, 1038 / 80, 1038; flat graphics:
7, 10 / 10, 4 / 10, 4 / 16, 3. Beyond 4 nothing is gained, and 1 more than doubles the size of graphics."""

WEBP_METHOD = 2
"""800x600 photo, ms and kB at method 0 / 2 / 4 / 6: 22, 175 / 35, 164 / 54, 160 / 149, 151."""


class Format(StrEnum):
    """The formats that can be stored."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"


_EXTENSIONS = {Format.JPEG: ".jpg", Format.PNG: ".png", Format.WEBP: ".webp"}
_LONGEST_SIDE = {Format.JPEG: 65_500, Format.WEBP: 16_383, Format.PNG: 100_000}
"""Pixels; limits of libjpeg-turbo and libwebp. PNG has none: beyond this one, scaling a template to a row of millions
of pixels takes gigabytes."""


@dataclass(frozen=True, slots=True)
class Output:
    """How the composed image is encoded.

    `quality` (1..100) is read for JPEG and WebP, `png_compress_level` (0..9) for PNG. `background` is a
    colour as CSS writes it (`white`, `#ffcc00`, `rgb(255, 204, 0)`): it shows through transparent pixels
    where the format has no alpha, and pads an image that does not fill its canvas. Raises RelayError when a
    value is out of bounds.
    """

    format: Format = Format.JPEG
    quality: int = 85
    png_compress_level: int = PNG_COMPRESS_LEVEL
    background: str = "white"

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise RelayError(f"output quality {self.quality} is not between 1 and 100")
        if not 0 <= self.png_compress_level <= 9:
            raise RelayError(f"output png_compress_level {self.png_compress_level} is not between 0 and 9")
        try:
            ImageColor.getrgb(self.background)
        except ValueError as error:
            message = f"output background {self.background!r} is not a colour; write white or #ffcc00"
            raise RelayError(message) from error

    @property
    def extension(self) -> str:
        """With its dot: `.jpg`, `.png`, `.webp`."""
        return _EXTENSIONS[self.format]

    @property
    def content_type(self) -> str:
        """The media type for HTTP and S3."""
        return f"image/{self.format}"

    @property
    def keeps_alpha(self) -> bool:
        """Whether the format can store transparent pixels."""
        return self.format != Format.JPEG

    @property
    def background_rgba(self) -> tuple[int, int, int, int]:
        """The background's red, green, blue and alpha, 0..255; opaque where the format has no alpha."""
        red, green, blue, *alpha = ImageColor.getrgb(self.background)
        return red, green, blue, alpha[0] if alpha and self.keeps_alpha else 255


def check_encodable(size: Size, output: Output) -> None:
    """Raise EntryFailure (compose_error) for a size the format cannot hold."""
    longest = _LONGEST_SIDE[output.format]
    if max(size) > longest:
        detail = f"{output.format} holds at most {longest} pixels a side, the output would be {size[0]}x{size[1]}"
        way_out = "a smaller canvas" if output.format is Format.PNG else "png or a smaller canvas"
        raise EntryFailure(Reason.COMPOSE_ERROR, f"{detail}; choose {way_out}")


def encode(image: Image.Image, output: Output) -> bytes:
    """The image's bytes in the output's format, the same for the same pixels. The image carries no `info`.

    Raises EntryFailure: compose_error.
    """
    check_encodable(image.size, output)
    options: dict[Format, dict[str, int]] = {
        # No `optimize`: 3 % smaller for 2.7 times the time.
        Format.JPEG: {"quality": output.quality},
        Format.PNG: {"compress_level": output.png_compress_level},
        Format.WEBP: {"quality": output.quality, "method": WEBP_METHOD},
    }
    buffer = io.BytesIO()
    try:
        image.save(buffer, output.format, **options[output.format])
    except Exception as error:
        detail = f"encoding {image.width}x{image.height} pixels as {output.format} failed: {error}"
        raise EntryFailure(Reason.COMPOSE_ERROR, detail) from error
    return buffer.getvalue()
