"""Decode the first page of a TIFF."""

import io
import struct

from PIL import TiffImagePlugin

from imgrelay_dagster.relay.imaging.formats.picture import Picture
from imgrelay_dagster.relay.imaging.layout import Size

_WIDTH, _HEIGHT, _BITS, _ORIENTATION = 256, 257, 258, 274
_FORMATS = {1: "B", 3: "H", 4: "I"}
MAX_FIELDS = 1_000
MAX_BITS = 16
"""Bits a sample. Which levels of wider ones are black and white is not known: floats have no range of their own."""


def read_size(data: bytes) -> Size:
    """Return the size of the first page as stored, from its directory (TIFF 6.0, section 2)."""
    fields = _numbers(data)
    return fields.get(_WIDTH, 0), fields.get(_HEIGHT, 0)


def decode(data: bytes, size: Size) -> Picture:
    """Decode the first page, of this size. Raises ValueError or OSError when it is broken."""
    file = _AsStored(io.BytesIO(data))
    if (bits := max(file.tag_v2.get(_BITS, (1,)))) > MAX_BITS:
        raise ValueError(f"{bits} bits a sample are not supported, only 1 to {MAX_BITS}")
    orientation = file.tag_v2.get(_ORIENTATION, 1)
    file.load()
    image = file._new(file.im)  # its size is that of its pixels
    if image.size != size:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    return Picture(image, size, file.info.get("icc_profile"), orientation, exif=data)


class _AsStored(TiffImagePlugin.TiffImageFile):
    """Pillow turns a TIFF while its decoder still holds the largest strip, which may be the whole image."""

    def load_end(self) -> None:
        pass


def _numbers(data: bytes) -> dict[int, int]:
    """Return the fields of the first directory that hold one number."""
    order = "<" if data.startswith(b"II") else ">"
    (offset,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, offset)
    found: dict[int, int] = {}
    for number in range(min(count, MAX_FIELDS)):
        at = offset + 2 + 12 * number
        tag, kind, values = struct.unpack_from(order + "HHI", data, at)
        if values == 1 and kind in _FORMATS:
            found.setdefault(tag, struct.unpack_from(order + _FORMATS[kind], data, at + 8)[0])
    return found
