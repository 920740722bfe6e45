"""Decode the largest picture of an ICO file."""

import io
import struct

from PIL import IcoImagePlugin

from imgrelay_dagster.relay.imaging.formats import png
from imgrelay_dagster.relay.imaging.formats.picture import Picture
from imgrelay_dagster.relay.imaging.layout import Size

MAX_PICTURES = 64
"""Pictures of a file that are looked at; icons have about ten."""


def read_size(data: bytes) -> Size:
    """Return the size of the largest picture."""
    return _size(_largest(data)[1])


def decode(data: bytes, size: Size) -> Picture:
    """Decode the largest picture, of this size. Raises ValueError or OSError when it is broken."""
    entry, body = _largest(data)
    if body.startswith(png.SIGNATURE):
        return png.decode(body, size)
    # A file of this picture alone, whose entry states the size that its own header has.
    single = data[:4] + b"\x01\0" + bytes(side & 0xFF for side in size) + entry[2:12] + struct.pack("<I", 22) + body
    image = IcoImagePlugin.IcoImageFile(io.BytesIO(single)).ico.frame(0)
    if image.size != size:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    image.load()
    return Picture(image, size)


def _largest(data: bytes) -> tuple[bytes, bytes]:
    """Return the directory entry and the bytes of the picture with the most pixels, then the most bits a pixel."""
    (count,) = struct.unpack_from("<H", data, 4)
    found: list[tuple[int, int, bytes, bytes]] = []
    for number in range(min(count, MAX_PICTURES)):
        entry = data[6 + 16 * number : 22 + 16 * number]
        bits, length, offset = struct.unpack_from("<HII", entry, 6)
        body = data[offset : offset + length]
        if len(body) >= 24:
            width, height = _size(body)
            found.append((width * height, bits, entry, body))
    if not found:
        raise ValueError("it holds no picture")
    _, _, entry, body = max(found, key=lambda picture: picture[:2])
    return entry, body


def _size(body: bytes) -> Size:
    """Return the size in a picture's own header. A bitmap has twice the height: its mask follows its colours."""
    if body.startswith(png.SIGNATURE):
        width, height = struct.unpack_from(">II", body, 16)
        return width, height
    width, height = struct.unpack_from("<ii", body, 4)
    return width, abs(height) // 2
