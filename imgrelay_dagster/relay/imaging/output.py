"""The output format, its options, and encoding."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from PIL import Image, ImageColor, _avif

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.imaging.formats.signatures import SourceFormat, recognise
from imgrelay_dagster.relay.imaging.kept import Keep
from imgrelay_dagster.relay.imaging.layout import LATER, Size
from imgrelay_dagster.relay.imaging.memory import is_memory_shortage
from imgrelay_dagster.relay.outcomes import Reason

PNG_COMPRESS_LEVEL = 4
"""800x600, ms and kB at level 1 / 4 / 6 / 9. Photo: 58, 1106 / 80, 1038 / 80, 1038 / 80, 1038; flat graphics:
7, 10 / 10, 4 / 10, 4 / 16, 3. Levels above 4 gain nothing; level 1 more than doubles the size of graphics."""

WEBP_METHOD = 2
"""800x600 photo, ms and kB at method 0 / 2 / 4 / 6: 22, 175 / 35, 164 / 54, 160 / 149, 151."""


AVIF_SPEED = 6
"""As in avifenc."""


class Format(StrEnum):
    """The supported output formats; `source` is the format of each source, if it is one of them, else JPEG."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    SOURCE = "source"


_EXTENSIONS = {
    Format.JPEG: ".jpg",
    Format.PNG: ".png",
    Format.WEBP: ".webp",
    Format.AVIF: ".avif",
    Format.SOURCE: ".*",
}
_WRITTEN = {
    SourceFormat.JPEG: Format.JPEG,
    SourceFormat.PNG: Format.PNG,
    SourceFormat.WEBP: Format.WEBP,
    SourceFormat.AVIF: Format.AVIF,
}
"""The source formats that are output formats, too."""

MIN_QUALITY = 50
"""Below it, JPEG, WebP and AVIF of photos show blocks."""

_MAX_SIDE = {Format.JPEG: 65_500, Format.WEBP: 16_383, Format.PNG: 100_000, Format.AVIF: 16_384}
"""Pixels; the limits of libjpeg-turbo, libwebp and AVIF decoders. PNG has none: its limit here exists because scaling a
template to a row of millions of pixels takes gigabytes."""


@dataclass(frozen=True, slots=True)
class JpegOptions:
    """Options of the JPEG encoder.

    Attributes:
        progressive: several scans, from coarse to fine.
        subsampling: of the colours: `4:4:4`, `4:2:2` or `4:2:0`.
        optimize: compute the Huffman tables for each image.
    """

    progressive: bool = False
    subsampling: str = "4:2:0"
    optimize: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """How the composed image is encoded.

    Raises RelayError when a value is out of range.

    Attributes:
        format: JPEG, PNG, WebP, AVIF or that of the source.
        quality: 1 to 100; used for JPEG, WebP and AVIF.
        png_compress_level: 0 to 9; used for PNG.
        background: a CSS colour (`white`, `#ffcc00`, `rgb(255, 204, 0)`). It replaces transparency where the format
            has no alpha, and fills the rest of the canvas around an image that does not fill it.
        speed: 0 (small and slow) to 10; used for AVIF.
        jpeg_options: used for JPEG.
        max_output_bytes: an image that is larger is encoded with less quality; None is no limit.
        min_quality: the least quality for it.
        keep: what of the source's metadata is kept: values of `Keep`.
    """

    format: Format = Format.JPEG
    quality: int = 85
    png_compress_level: int = PNG_COMPRESS_LEVEL
    background: str = "white"
    speed: int = field(default=AVIF_SPEED, metadata=LATER)
    jpeg_options: JpegOptions = field(default=JpegOptions(), metadata=LATER)
    max_output_bytes: int | None = field(default=None, metadata=LATER)
    min_quality: int = field(default=MIN_QUALITY, metadata=LATER)
    keep: tuple[str, ...] = field(default=(), metadata=LATER)

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise RelayError(f"output quality {self.quality} is not between 1 and 100")
        if not 0 <= self.png_compress_level <= 9:
            raise RelayError(f"output png_compress_level {self.png_compress_level} is not between 0 and 9")
        if not 0 <= self.speed <= 10:
            raise RelayError(f"output speed {self.speed} is not between 0 and 10")
        if self.max_output_bytes is not None:
            self._check_max_output_bytes()
        for part in self.keep:
            if part not in tuple(Keep):
                raise RelayError(f"output keep {part!r} is not one of {', '.join(Keep)}")
        try:
            ImageColor.getrgb(self.background)
        except ValueError as error:
            message = f"output background {self.background!r} is not a colour; write white or #ffcc00"
            raise RelayError(message) from error

    def _check_max_output_bytes(self) -> None:
        if self.max_output_bytes is not None and self.max_output_bytes < 1:
            raise RelayError(f"output max_output_bytes {self.max_output_bytes} is not at least 1")
        if not 1 <= self.min_quality <= self.quality:
            raise RelayError(
                f"output min_quality {self.min_quality} is not between 1 and output quality {self.quality}; lower it"
            )

    def check(self) -> None:
        """Raise RelayError if options contradict the format."""
        if self.max_output_bytes is not None and not self.has_quality:
            raise RelayError(
                f"output max_output_bytes needs a quality that can be lowered, but {self.format} is lossless; choose "
                "format jpeg, webp or avif"
            )

    def of_source(self, source: SourceFormat) -> "Output":
        """The output for a source of this format; `self` unless `format` is that of the source."""
        if self.format is not Format.SOURCE:
            return self
        return replace(self, format=_WRITTEN.get(source, Format.JPEG))

    @property
    def has_quality(self) -> bool:
        """Whether the format is lossy, so that `quality` means something."""
        return self.format is not Format.PNG

    @property
    def extension(self) -> str:
        """The file name extension with its dot: `.jpg`, `.png`, `.webp` or `.avif`; `.*` for that of the source."""
        return _EXTENSIONS[self.format]

    @property
    def content_type(self) -> str:
        """The media type for HTTP and S3; not for the format of the source."""
        return f"image/{self.format}"

    def content_type_of(self, data: bytes) -> str:
        """The media type of an encoded image."""
        written = recognise(data) if self.format is Format.SOURCE else None
        return self.content_type if written is None else f"image/{_WRITTEN[written]}"

    @property
    def keeps_alpha(self) -> bool:
        """Whether the format can store transparent pixels."""
        return self.format != Format.JPEG

    @property
    def background_rgba(self) -> tuple[int, int, int, int]:
        """Red, green, blue and alpha of the background, 0 to 255; opaque where the format has no alpha."""
        red, green, blue, *alpha = ImageColor.getrgb(self.background)
        return red, green, blue, alpha[0] if alpha and self.keeps_alpha else 255


def check_encodable(size: Size, output: Output) -> None:
    """Raise EntryFailure (compose_error) if the output format cannot store an image of this size."""
    limit = _MAX_SIDE[output.format]
    if max(size) > limit:
        detail = f"{output.format} holds at most {limit} pixels a side, the output would be {size[0]}x{size[1]}"
        advice = "a smaller canvas" if output.format is Format.PNG else "png or a smaller canvas"
        raise EntryFailure(Reason.COMPOSE_ERROR, f"{detail}; choose {advice}")


def encode(image: Image.Image, output: Output, metadata: Mapping[str, Any] = MappingProxyType({})) -> bytes:
    """Encode an image in the output format; the same pixels give the same bytes.

    `image.info` must be empty, because Pillow would write metadata from it; `metadata` are Pillow's options for that.

    Raises EntryFailure: compose_error. Raises MemoryError if memory is short.
    """
    check_encodable(image.size, output)
    buffer = io.BytesIO()
    try:
        image.save(buffer, output.format, **_encoder_options(output), **metadata)
    except MemoryError:
        raise
    except Exception as error:
        if is_memory_shortage(error):
            raise MemoryError(str(error)) from error
        detail = f"encoding {image.width}x{image.height} pixels as {output.format} failed: {error}"
        raise EntryFailure(Reason.COMPOSE_ERROR, detail) from error
    return buffer.getvalue()


@cache
def _aom_options() -> dict[str, Any]:
    """Options of the AVIF encoder in Pillow's own packages.

    1200x900 photo at quality 85 and speed 6, CPU time and kB: the default of libavif 1.4 (`iq`) 1067 ms, 343; `ssim`
    736 ms, 381, as avifenc 0.11 does.
    """
    return {"codec": "aom", "advanced": {"tune": "ssim"}} if _avif.encoder_codec_available("aom") else {}


@lru_cache(maxsize=64)
def _encoder_options(output: Output) -> Mapping[str, Any]:
    match output.format:
        case Format.JPEG:
            options = {name: value for name, value in asdict(output.jpeg_options).items() if value is not False}
            return {"quality": output.quality, **options}
        case Format.PNG:
            return {"compress_level": output.png_compress_level}
        case Format.WEBP:
            return {"quality": output.quality, "method": WEBP_METHOD}
        case Format.AVIF:
            # One thread: with more, the bytes would depend on the number of cores.
            return {"quality": output.quality, "speed": output.speed, "max_threads": 1, **_aom_options()}
        case Format.SOURCE:
            raise ValueError("the format of the source is not known")
