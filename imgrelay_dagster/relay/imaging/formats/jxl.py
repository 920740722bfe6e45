"""Decode JPEG XL, if the extra `jxl` is installed. libjxl turns the picture upright."""

import importlib.util
import io

from PIL import Image

from imgrelay_dagster.relay.imaging.formats.boxes import read_boxes
from imgrelay_dagster.relay.imaging.formats.picture import Picture
from imgrelay_dagster.relay.imaging.layout import Size

EXTRA, MODULE = "jxl", "pillow_jxl"
_CODESTREAM = b"\xff\x0a"
_RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_HEADER = 64  # bytes of the codestream that are read


def is_installed() -> bool:
    """Whether the decoder is installed."""
    return importlib.util.find_spec(MODULE) is not None


def read_size(data: bytes) -> Size:
    """Return the size in the codestream's header (ISO/IEC 18181-1, SizeHeader), as stored."""
    bits = _Bits(_codestream(data)[2:34])
    is_small = bits.read(1)
    height = _side(bits, is_small)
    ratio = _RATIOS[bits.read(3)]
    width = _side(bits, is_small) if ratio is None else height * ratio[0] // ratio[1]
    return width, height


def decode(data: bytes, size: Size) -> Picture:
    """Decode a JPEG XL of this stored size. Raises ValueError or OSError when it is broken."""
    from pillow_jxl import JpegXLImagePlugin  # noqa: PLC0415 - an extra

    JpegXLImagePlugin.DECODE_THREADS = 1  # the caller decodes in several threads
    image: Image.Image = JpegXLImagePlugin.JXLImageFile(io.BytesIO(data))
    if image.size not in (size, size[::-1]):
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    image.load()
    return Picture(image, image.size, image.info.get("icc_profile"))


def _codestream(data: bytes) -> bytes:
    """Return the start of the codestream, which may be in one box or in several (ISO/IEC 18181-2)."""
    if data.startswith(_CODESTREAM):
        return data[:_HEADER]
    found = b""
    for kind, start, end in read_boxes(data):
        if kind in (b"jxlc", b"jxlp") and len(found) < _HEADER:
            first = start + (4 if kind == b"jxlp" else 0)
            found += data[first : min(end, first + _HEADER - len(found))]
    if not found:
        raise ValueError("it holds no codestream")
    return found


def _side(bits: "_Bits", is_small: int) -> int:
    if is_small:
        return 8 * (1 + bits.read(5))
    return 1 + bits.read((9, 13, 18, 30)[bits.read(2)])


class _Bits:
    """Reads numbers of a few bits, the lowest bit of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def read(self, count: int) -> int:
        if count > self._left:
            raise IndexError
        value = self._value & (1 << count) - 1
        self._value >>= count
        self._left -= count
        return value
