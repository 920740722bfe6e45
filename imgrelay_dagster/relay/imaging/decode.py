"""Decode an untrusted image file to an upright sRGB image.

The limits are checked first: format and size are read from the header before a decoder sees the bytes. The decoders
are called directly and not by `Image.open`, which would try formats that are not on the list, and would warn or
raise at Pillow's own global pixel limit instead of at ours.
"""

import functools
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass

from PIL import AvifImagePlugin, Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.color import to_eight_bits, to_srgb
from imgrelay_dagster.relay.imaging.complexity import check_complexity
from imgrelay_dagster.relay.imaging.cost import Cost, check_memory, estimate_cost
from imgrelay_dagster.relay.imaging.formats import avif, bmp, gif, heif, ico, jpeg, jpeg2000, jxl, png, tiff, webp
from imgrelay_dagster.relay.imaging.formats.picture import Picture
from imgrelay_dagster.relay.imaging.formats.signatures import SourceFormat
from imgrelay_dagster.relay.imaging.header import read_format, read_size
from imgrelay_dagster.relay.imaging.kept import NOTHING_KEPT, Kept
from imgrelay_dagster.relay.imaging.layout import Box, Size
from imgrelay_dagster.relay.imaging.memory import is_available, is_memory_shortage
from imgrelay_dagster.relay.imaging.orientation import upright, upright_extent, upright_size
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


_DECODERS: dict[SourceFormat, Callable[[bytes, Size], Picture]] = {
    SourceFormat.PNG: png.decode,
    SourceFormat.WEBP: webp.decode,
    SourceFormat.GIF: gif.decode,
    SourceFormat.AVIF: avif.decode,
    SourceFormat.BMP: bmp.decode,
    SourceFormat.TIFF: tiff.decode,
    SourceFormat.ICO: ico.decode,
    SourceFormat.JPEG_2000: jpeg2000.decode,
    SourceFormat.HEIC: heif.decode,
    SourceFormat.JPEG_XL: jxl.decode,
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded image.

    Attributes:
        image: upright, in sRGB, in mode RGB or RGBA, without `info`. A JPEG may be decoded at a reduced size.
        full_size: the upright size in pixels that the file has.
        extent: the box of `image` that the whole picture covers. At a quarter of its size a JPEG 1601 pixels wide
            covers 400.25 of the 401 decoded pixels.
        frames: the number of frames in the file; 1 for a still image, None if there are too many to count.
        kept: what is kept of its metadata. With a profile, the image is not in sRGB but in its own colours.
    """

    image: Image.Image
    full_size: Size
    extent: Box
    frames: int | None = 1
    kept: Kept = NOTHING_KEPT


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
        check_memory(cost, limit)
        return cls(data, source_format, width, height, cost, max_pixels)

    @property
    def pixels(self) -> int:
        """The number of pixels that decoding allocates."""
        return self.cost.pixels

    def decode(self, target_size: Callable[[Size], Size] | None = None, keep: Collection[str] = ()) -> Decoded:
        """Decode the image; of an animation, the first frame.

        `target_size` maps the upright full size to the size that the image will be scaled to. A JPEG that is much
        larger is then decoded at a half, quarter or eighth of its size. `keep` are values of `Keep`.

        Raises EntryFailure: corrupt_image. Raises MemoryError if memory is short, and ImportError if a library
        is missing; both say nothing about the image.
        """
        try:
            return self._decode(target_size, keep)
        except (MemoryError, ImportError):
            raise
        except Exception as error:
            error.__traceback__ = None  # whose frames hold pixels
            if is_memory_shortage(error) or not is_available(self.cost.memory):
                raise MemoryError(str(error)) from error
            # On a broken file Pillow may raise almost any error: OSError, SyntaxError, struct.error.
            detail = f"the {self.format} cannot be decoded: {str(error)[:150] or type(error).__name__}"
            raise EntryFailure(Reason.CORRUPT_IMAGE, detail) from error

    def _decode(self, target_size: Callable[[Size], Size] | None, keep: Collection[str]) -> Decoded:
        picture = self._picture(target_size)
        stored = picture.image.size
        # Each step lets go of the pixels of the one before.
        picture.image = to_eight_bits(picture.image, picture.depth)
        kept = Kept.of(picture, picture.image.mode, keep) if keep else NOTHING_KEPT
        picture.image = to_srgb(picture.image, None if kept.profile else picture.colors)
        picture.image = upright(picture.image, picture.orientation)
        return Decoded(
            _without_metadata(picture.image),
            upright_size(picture.size, picture.orientation),
            upright_extent(picture.covered or stored, stored, picture.orientation),
            picture.frames,
            kept,
        )

    def _picture(self, target_size: Callable[[Size], Size] | None) -> Picture:
        size = self.width, self.height
        if self.format != SourceFormat.JPEG:
            return _DECODERS[self.format](self.data, size)
        return jpeg.decode(self.data, size, target_size)


def open_source(data: bytes, max_pixels: int) -> Image.Image:
    """Decode `data` to an upright sRGB image in mode RGB or RGBA, without `info`, of at most `max_pixels` pixels.

    Raises EntryFailure: empty_body, unsupported_format, too_many_pixels, corrupt_image.
    """
    return Source.inspect(data, max_pixels).decode().image


def _without_metadata(image: Image.Image) -> Image.Image:
    """Return the same pixels without file, decoder and metadata; not a copy, which would double the peak memory."""
    bare = image._new(image.im)
    bare.info.clear()
    return bare
