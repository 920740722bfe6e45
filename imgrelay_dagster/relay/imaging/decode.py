"""From the bytes of a stranger's file to an upright sRGB image, or to the reason why not.

Limits come first: format and pixels are read from the header, and only then does a decoder see the bytes.
The decoders are called by name, past `Image.open`: it would try formats that are not on the list, and would
warn or raise at Pillow's own pixel limit, which is global, instead of at ours.
"""

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
from imgrelay_dagster.relay.imaging.complexity import check_parts
from imgrelay_dagster.relay.imaging.header import SourceFormat, read_format, read_size
from imgrelay_dagster.relay.imaging.layout import Box, Size
from imgrelay_dagster.relay.outcomes import Reason

HIGHEST_MAX_PIXELS = 178_956_970
"""Where Pillow itself stops a WebP or GIF; a higher `max_pixels` would not be kept."""

# Parallelism is the caller's: threads inside the decoder as well would fight over the same cores.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Pillow warns of each odd tag of a stranger's EXIF, tens of thousands in one file.
warnings.filterwarnings("ignore", module=r"PIL\.")
# A few kB of compressed text may unpack to 64 MiB in each thread by default.
PngImagePlugin.MAX_TEXT_MEMORY = 8 * PngImagePlugin.MAX_TEXT_CHUNK

_DECODERS: dict[SourceFormat, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    # JPEG also reads MPO, as the JPEG that its first picture is.
    SourceFormat.JPEG: JpegImagePlugin.JpegImageFile,
    SourceFormat.PNG: PngImagePlugin.PngImageFile,
    SourceFormat.WEBP: WebPImagePlugin.WebPImageFile,
    SourceFormat.GIF: GifImagePlugin.GifImageFile,
    SourceFormat.AVIF: AvifImagePlugin.AvifImageFile,
}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What a turn does to the stored sides: Pillow's names count rotations counterclockwise.
_SWAPS_SIDES = {_UPRIGHT[5], _UPRIGHT[6], _UPRIGHT[7], _UPRIGHT[8]}
_MIRRORS_X = {_UPRIGHT[2], _UPRIGHT[3], _UPRIGHT[7], _UPRIGHT[8]}
_MIRRORS_Y = {_UPRIGHT[3], _UPRIGHT[4], _UPRIGHT[6], _UPRIGHT[7]}


@dataclass(frozen=True, slots=True)
class Decoded:
    """`image` is upright, in sRGB, in mode RGB or RGBA and without `info`.

    `full_size` is its upright size in pixels in the file. A JPEG shrunk while decoding has fewer, and then
    `extent` is where the full picture lies in them: 1601 pixels at a quarter are 400.25, stored in 401.
    """

    image: Image.Image
    full_size: Size
    extent: Box


@dataclass(frozen=True, slots=True)
class Source:
    """A body that passed the limits and is not decoded yet; `width` and `height` are as stored, in pixels."""

    data: bytes
    format: SourceFormat
    width: int
    height: int

    @classmethod
    def inspect(cls, data: bytes, max_pixels: int) -> "Source":
        """Read the header and apply the limits; costs microseconds and allocates no canvas.

        Raises EntryFailure: empty_body, unsupported_format, too_many_pixels, corrupt_image.
        """
        source_format = read_format(data)
        check_parts(data, source_format)
        width, height = read_size(data, source_format)
        limit = min(max_pixels, HIGHEST_MAX_PIXELS)
        if width * height > limit:
            detail = f"the image has {width}x{height} = {width * height} pixels; the limit is {limit}"
            raise EntryFailure(Reason.TOO_MANY_PIXELS, detail)
        return cls(data, source_format, width, height)

    @property
    def pixels(self) -> int:
        """How many pixels decoding makes, for the budget."""
        return self.width * self.height

    def decode(self, drawn_at: Callable[[Size], Size] | None = None) -> Decoded:
        """Decode the picture, the first one where there are several.

        `drawn_at` tells, from the upright full size, the size the picture will be scaled down to; a JPEG that
        is much larger is then decoded at a half, quarter or eighth. Raises EntryFailure: corrupt_image.
        """
        try:
            return self._decode(drawn_at)
        except Exception as error:
            # On a broken file Pillow raises nearly anything: OSError, SyntaxError, struct.error, MemoryError.
            detail = f"the {self.format} cannot be decoded: {str(error)[:150] or type(error).__name__}"
            raise EntryFailure(Reason.CORRUPT_IMAGE, detail) from error

    def _decode(self, drawn_at: Callable[[Size], Size] | None) -> Decoded:
        image = _DECODERS[self.format](io.BytesIO(self.data))
        size = image.size
        if size != (self.width, self.height):
            raise ValueError(f"its header states {self.width}x{self.height} pixels, its picture {size}")
        covered: tuple[float, float] = size
        if self.format == SourceFormat.JPEG and drawn_at:
            covered = _shrink_while_decoding(image, drawn_at)
        image.load()
        profile = image.info.get("icc_profile")
        turn = _UPRIGHT.get(_orientation(image))
        depth = self.data[24] if self.format == SourceFormat.PNG else None
        upright = to_srgb(to_eight_bits(image, depth), profile)
        if turn is not None:
            upright = upright.transpose(turn)
        return Decoded(_detached(upright), _turned(size, turn), _turned_extent(covered, image.size, turn))


def open_source(data: bytes, max_pixels: int) -> Image.Image:
    """The upright sRGB image in `data`, in mode RGB or RGBA, without `info`, of at most `max_pixels` pixels.

    Raises EntryFailure: empty_body, unsupported_format, too_many_pixels, corrupt_image.
    """
    return Source.inspect(data, max_pixels).decode().image


def _shrink_while_decoding(image: ImageFile.ImageFile, drawn_at: Callable[[Size], Size]) -> tuple[float, float]:
    """Let the decoder make fewer pixels; returns the width and height the whole picture covers in them.

    At least twice the size needed is decoded: 42 dB from the full decode at 55 % of its time; once is 36 dB.
    """
    turn = _UPRIGHT.get(_orientation(image))
    width, height = _turned(drawn_at(_turned(image.size, turn)), turn)
    drafted = image.draft(None, (2 * width, 2 * height))
    return drafted[1][2:] if drafted else image.size


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1..8; 1 where it is absent or broken. Pillow gives AVIF's own turn as EXIF."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - a camera's broken EXIF is no reason to lose the picture
        return 1
    return orientation if isinstance(orientation, int) else 1


def _turned(size: Size, turn: Image.Transpose | None) -> Size:
    return (size[1], size[0]) if turn in _SWAPS_SIDES else size


def _turned_extent(covered: tuple[float, float], stored: Size, turn: Image.Transpose | None) -> Box:
    """Where a picture that begins in the left top corner of the stored pixels lies once they are upright."""
    width, height = covered
    left = stored[0] - width if turn in _MIRRORS_X else 0
    top = stored[1] - height if turn in _MIRRORS_Y else 0
    if turn in _SWAPS_SIDES:
        return top, left, top + height, left + width
    return left, top, left + width, top + height


def _detached(image: Image.Image) -> Image.Image:
    """The same pixels without file, decoder and metadata; a copy would double the memory at its peak."""
    bare = image._new(image.im)
    bare.info.clear()
    return bare
