"""Decode an untrusted image file to an upright sRGB image.

The limits are checked first: format and size are read from the header before a decoder sees the bytes. The decoders
are called directly and not by `Image.open`, which would try formats that are not on the list, and would warn or
raise at Pillow's own global pixel limit instead of at ours.
"""

import functools
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from PIL import (
    AvifImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.color import to_eight_bits, to_srgb
from imgrelay_dagster.relay.imaging.complexity import check_complexity
from imgrelay_dagster.relay.imaging.cost import Cost, estimate_cost
from imgrelay_dagster.relay.imaging.header import SourceFormat, read_format, read_size
from imgrelay_dagster.relay.imaging.layout import Box, Size
from imgrelay_dagster.relay.imaging.memory import is_memory_shortage
from imgrelay_dagster.relay.outcomes import Reason

HIGHEST_MAX_PIXELS = 178_956_970
"""Pillow refuses a WebP or GIF above this size, so a higher `max_pixels` would have no effect on them."""


@functools.cache
def _configure_pillow() -> None:
    """Set Pillow's limits for this process, before its first decode. Importing this module changes nothing."""
    # The caller decodes in several threads already; threads inside the decoder would compete for the same cores.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # Pillow warns about each unusual EXIF tag, of which one file may have tens of thousands.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # By default a few kB of compressed PNG text may unpack to 64 MiB in each thread.
    PngImagePlugin.MAX_TEXT_MEMORY = 8 * PngImagePlugin.MAX_TEXT_CHUNK


_DECODERS: dict[SourceFormat, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    # Also opens MPO files: their first image is a plain JPEG.
    SourceFormat.JPEG: JpegImagePlugin.JpegImageFile,
    SourceFormat.PNG: PngImagePlugin.PngImageFile,
    SourceFormat.WEBP: WebPImagePlugin.WebPImageFile,
    SourceFormat.GIF: GifImagePlugin.GifImageFile,
    SourceFormat.AVIF: AvifImagePlugin.AvifImageFile,
}

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Their effect on the stored sides. Pillow's names count rotations counterclockwise.
_SWAPS_SIDES = {_TRANSPOSITIONS[5], _TRANSPOSITIONS[6], _TRANSPOSITIONS[7], _TRANSPOSITIONS[8]}
_MIRRORS_X = {_TRANSPOSITIONS[2], _TRANSPOSITIONS[3], _TRANSPOSITIONS[7], _TRANSPOSITIONS[8]}
_MIRRORS_Y = {_TRANSPOSITIONS[3], _TRANSPOSITIONS[4], _TRANSPOSITIONS[6], _TRANSPOSITIONS[7]}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded image.

    Attributes:
        image: upright, in sRGB, in mode RGB or RGBA, without `info`. A JPEG may be decoded at a reduced size.
        full_size: the upright size in pixels that the file has.
        extent: the box of `image` that the whole picture covers. At a quarter of its size a JPEG 1601 pixels wide
            covers 400.25 of the 401 decoded pixels.
    """

    image: Image.Image
    full_size: Size
    extent: Box


@dataclass(frozen=True, slots=True)
class Source:
    """An image file that passed the limits and is not decoded yet. `width` and `height` are in pixels, as stored."""

    data: bytes
    format: SourceFormat
    width: int
    height: int
    cost: Cost
    max_pixels: int

    @classmethod
    def inspect(cls, data: bytes, max_pixels: int) -> "Source":
        """Read the header and check the limits. Takes microseconds and allocates no pixels.

        Raises EntryFailure: empty_body, unsupported_format, too_many_pixels, corrupt_image, too_costly.
        """
        _configure_pillow()
        source_format = read_format(data)
        check_complexity(data, source_format)
        width, height = read_size(data, source_format)
        limit = min(max_pixels, HIGHEST_MAX_PIXELS)
        if width * height > limit:
            detail = f"the image has {width}x{height} = {width * height} pixels; the limit is {limit}"
            raise EntryFailure(Reason.TOO_MANY_PIXELS, detail)
        cost = estimate_cost(data, source_format, (width, height))
        if cost.pixels > limit:
            detail = f"the image of {width}x{height} pixels is coded with {cost.pixels} pixels; the limit is {limit}"
            raise EntryFailure(Reason.TOO_MANY_PIXELS, detail)
        return cls(data, source_format, width, height, cost, max_pixels)

    @property
    def pixels(self) -> int:
        """The number of pixels that decoding allocates."""
        return self.cost.pixels

    def decode(self, target_size: Callable[[Size], Size] | None = None) -> Decoded:
        """Decode the image; of an animation, the first frame.

        `target_size` maps the upright full size to the size that the image will be scaled to. A JPEG that is much
        larger is then decoded at a half, quarter or eighth of its size.

        Raises EntryFailure: corrupt_image. Raises MemoryError if memory is short, which says nothing about the image.
        """
        try:
            return self._decode(target_size)
        except MemoryError:
            raise
        except Exception as error:
            if is_memory_shortage(error):
                raise MemoryError(str(error)) from error
            # On a broken file Pillow may raise almost any error: OSError, SyntaxError, struct.error.
            detail = f"the {self.format} cannot be decoded: {str(error)[:150] or type(error).__name__}"
            raise EntryFailure(Reason.CORRUPT_IMAGE, detail) from error

    def _decode(self, target_size: Callable[[Size], Size] | None) -> Decoded:
        image = _DECODERS[self.format](io.BytesIO(self.data))
        size = image.size
        if size != (self.width, self.height):
            raise ValueError(f"its header states {self.width}x{self.height} pixels, its decoder {size[0]}x{size[1]}")
        covered: tuple[float, float] = size
        if self.format == SourceFormat.JPEG and target_size:
            covered = _shrink_while_decoding(image, target_size)
        image.load()
        profile = image.info.get("icc_profile")
        transposition = _TRANSPOSITIONS.get(_orientation(image))
        depth = self.data[24] if self.format == SourceFormat.PNG else None
        upright = to_srgb(to_eight_bits(image, depth), profile)
        if transposition is not None:
            upright = upright.transpose(transposition)
        return Decoded(
            _without_metadata(upright),
            _upright_size(size, transposition),
            _upright_extent(covered, image.size, transposition),
        )


def open_source(data: bytes, max_pixels: int) -> Image.Image:
    """Decode `data` to an upright sRGB image in mode RGB or RGBA, without `info`, of at most `max_pixels` pixels.

    Raises EntryFailure: empty_body, unsupported_format, too_many_pixels, corrupt_image.
    """
    return Source.inspect(data, max_pixels).decode().image


def _shrink_while_decoding(image: ImageFile.ImageFile, target_size: Callable[[Size], Size]) -> tuple[float, float]:
    """Set the decoder to a reduced size; return the width and height that the whole picture will cover in it.

    Keeps at least twice the target size: 42 dB PSNR to the full decode in 55 % of its time. Once the target size
    would be 36 dB.
    """
    transposition = _TRANSPOSITIONS.get(_orientation(image))
    width, height = _upright_size(target_size(_upright_size(image.size, transposition)), transposition)
    drafted = image.draft(None, (2 * width, 2 * height))
    return drafted[1][2:] if drafted else image.size


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 when it is absent or broken. Pillow reports AVIF rotation as EXIF, too."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - broken EXIF must not fail the image
        return 1
    return orientation if isinstance(orientation, int) else 1


def _upright_size(size: Size, transposition: Image.Transpose | None) -> Size:
    return (size[1], size[0]) if transposition in _SWAPS_SIDES else size


def _upright_extent(covered: tuple[float, float], stored: Size, transposition: Image.Transpose | None) -> Box:
    """Return the box that the picture covers in the upright pixels, given that it starts at the stored top left."""
    width, height = covered
    left = stored[0] - width if transposition in _MIRRORS_X else 0
    top = stored[1] - height if transposition in _MIRRORS_Y else 0
    if transposition in _SWAPS_SIDES:
        return top, left, top + height, left + width
    return left, top, left + width, top + height


def _without_metadata(image: Image.Image) -> Image.Image:
    """Return the same pixels without file, decoder and metadata; not a copy, which would double the peak memory."""
    bare = image._new(image.im)
    bare.info.clear()
    return bare
