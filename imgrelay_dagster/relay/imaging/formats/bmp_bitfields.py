"""Decode a BMP whose channels lie in its pixels by masks that Pillow does not know, such as 4 bits for each."""

import struct
from typing import TYPE_CHECKING, Any

from PIL import Image

from imgrelay_dagster.relay.imaging.layout import Size

if TYPE_CHECKING:
    from numpy import ndarray

_BITFIELDS = 3
_HEADER_WITH_ALPHA = 56
"""Bytes of the first header version that has a mask for alpha."""


def has_bitfields(data: bytes) -> bool:
    """Whether the header states masks for pixels of 16 or 32 bits."""
    if len(data) < 70 or struct.unpack_from("<I", data, 14)[0] < 40:
        return False
    bits, compression = struct.unpack_from("<HI", data, 28)
    return bits in (16, 32) and compression == _BITFIELDS


def decode(data: bytes, size: Size) -> Image.Image:
    """Decode a BMP for which `has_bitfields` holds. Raises ValueError when pixels are missing."""
    import numpy as np  # noqa: PLC0415 - NumPy takes a tenth of a second, and these files are rare

    width, height = size
    (offset,) = struct.unpack_from("<I", data, 10)
    header, _, rows, _, bits = struct.unpack_from("<IiiHH", data, 14)
    masks = struct.unpack_from("<4I", data, 54)
    stride = (width * bits + 31) // 32 * 4
    if len(data) - offset < stride * height:
        raise ValueError("its data end before its pixels")
    words = np.frombuffer(data, f"<u{bits // 8}", stride * height * 8 // bits, offset)
    pixels = words.reshape(height, -1)[:: -1 if rows > 0 else 1, :width].astype(np.uint64)
    channels = masks[:3] if header < _HEADER_WITH_ALPHA or not masks[3] else masks
    levels = np.stack([_levels(pixels, mask) for mask in channels], axis=-1)
    return Image.fromarray(levels, "RGB" if len(channels) == 3 else "RGBA")


def _levels(pixels: "ndarray[Any, Any]", mask: int) -> "ndarray[Any, Any]":
    """One channel, scaled to 0..255."""
    import numpy as np  # noqa: PLC0415 - as above

    if not mask:
        return np.zeros(pixels.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    highest = mask >> shift
    return (((pixels & mask) >> shift) * 255 // highest).clip(0, 255).astype(np.uint8)
