"""Decode JPEG 2000, as a JP2 file or a bare codestream."""

import io
import struct

from PIL import Jpeg2KImagePlugin

from imgrelay_dagster.relay.imaging.formats.boxes import read_boxes
from imgrelay_dagster.relay.imaging.formats.picture import Picture
from imgrelay_dagster.relay.imaging.layout import Size

_START = b"\xff\x4f\xff\x51"


def read_size(data: bytes) -> Size:
    """Return the size in the codestream's SIZ segment (ITU-T T.800, A.5.1), which is that of a JP2 file's header, too.

    Raises ValueError if they differ.
    """
    if data.startswith(_START):
        return _coded_size(data, 0)
    stated = None
    for kind, start, end in read_boxes(data):
        if kind == b"jp2h":
            stated = _stated_size(data, start, end)
        elif kind == b"jp2c":
            size = _coded_size(data, start)
            if stated not in (None, size):
                raise ValueError(f"it states {stated[0]}x{stated[1]} pixels, its codestream {size[0]}x{size[1]}")
            return size
    raise IndexError


def _coded_size(data: bytes, start: int) -> Size:
    if data[start : start + 4] != _START:
        raise ValueError("its codestream does not begin with its size")
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    return right - left, bottom - top


def _stated_size(data: bytes, start: int, end: int) -> Size | None:
    """Return the size in the JP2 header (I.5.3.1)."""
    for kind, at, _ in read_boxes(data, start, end):
        if kind == b"ihdr":
            height, width = struct.unpack_from(">II", data, at)
            return width, height
    return None


def decode(data: bytes, size: Size) -> Picture:
    """Decode a JPEG 2000 of this size. Raises ValueError or OSError when it is broken."""
    image = Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(data))
    if image.size != size:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    image.load()
    return Picture(image, size, image.info.get("icc_profile"))
