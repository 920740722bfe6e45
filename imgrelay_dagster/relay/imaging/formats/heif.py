"""Decode HEIC, if the extra `heif` is installed. libheif turns the picture upright."""

import importlib.util

from imgrelay_dagster.relay.imaging.formats import exif
from imgrelay_dagster.relay.imaging.formats.avif import shown
from imgrelay_dagster.relay.imaging.formats.heif_boxes import code_points
from imgrelay_dagster.relay.imaging.formats.picture import Picture
from imgrelay_dagster.relay.imaging.heic import read_heic
from imgrelay_dagster.relay.imaging.layout import Size

EXTRA, MODULE = "heif", "pillow_heif"


def is_installed() -> bool:
    """Whether the decoder is installed."""
    return importlib.util.find_spec(MODULE) is not None


def read_size(data: bytes) -> Size:
    """Return the size of the primary item as stored (ISO/IEC 23008-12, 6.5.3)."""
    size = read_heic(data).size
    if size is None:
        raise ValueError("it states no size")
    return size


def decode(data: bytes, size: Size) -> Picture:
    """Decode the primary picture, of this stored size. Raises ValueError or OSError when it is broken."""
    import pillow_heif  # noqa: PLC0415 - an extra

    pillow_heif.options.DECODE_THREADS = 1  # the caller decodes in several threads
    pillow_heif.options.THUMBNAILS = False
    file = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
    image = file.to_pillow()
    # A crop in the container makes it smaller: encoders fill their blocks of 64 pixels.
    if image.width * image.height > size[0] * size[1]:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    colors = image.info.get("icc_profile") or shown(code_points(data))
    return Picture(image, image.size, colors, exif=exif.without_prefix(image.info.get("exif")))
