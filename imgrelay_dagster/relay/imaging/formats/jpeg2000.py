"""Decode JPEG 2000, as a JP2 file or a bare codestream."""

import io
import struct

from PIL import Jpeg2KImagePlugin

from imgrelay_dagster.relay.imaging.formats.picture import Picture
from imgrelay_dagster.relay.imaging.layout import Size

_START = b"\xff\x4f\xff\x51"


def read_size(data: bytes) -> Size:
    """Return the size in the codestream's SIZ segment (ITU-T T.800, A.5.1)."""
    at = data.index(_START)
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    return right - left, bottom - top


def decode(data: bytes, size: Size) -> Picture:
    """Decode a JPEG 2000 of this size. Raises ValueError or OSError when it is broken."""
    image = Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(data))
    if image.size != size:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    image.load()
    return Picture(image, size, image.info.get("icc_profile"))
