"""Decode BMP."""

import io
import struct

from PIL import BmpImagePlugin

from imgrelay_dagster.relay.imaging.formats import bmp_bitfields
from imgrelay_dagster.relay.imaging.formats.picture import Picture
from imgrelay_dagster.relay.imaging.layout import Size


def read_size(data: bytes) -> Size:
    """Return the size that the header states; the height is negative if the rows start at the top."""
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)


def decode(data: bytes, size: Size) -> Picture:
    """Decode a BMP of this size. Raises ValueError or OSError when it is broken."""
    try:
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    except OSError:
        if not bmp_bitfields.has_bitfields(data):
            raise
        return Picture(bmp_bitfields.decode(data, size), size)
    if image.size != size:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    image.load()
    return Picture(image, size)
