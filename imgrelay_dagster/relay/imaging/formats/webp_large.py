"""Decode a large WebP by libwebp itself, in the copy that Pillow brings.

Pillow decodes every WebP as an animation and holds its pixels four times: 763 MiB for 50 megapixels. Called directly,
libwebp holds them once, or twice if the picture is lossless. The pixels are the same.
"""

import ctypes
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image, _imaging, _webp

from imgrelay_dagster.relay.imaging.formats.picture import on_transparent_canvas
from imgrelay_dagster.relay.imaging.layout import Size

MIN_PIXELS = 8_000_000
"""Below it Pillow decodes."""

_ALPHA, _ANIMATION = 0x10, 0x02
_MAX_CHUNKS = 100_000


@dataclass(frozen=True, slots=True)
class LargeWebP:
    """Pixels and metadata of a WebP."""

    image: Image.Image
    profile: bytes | None
    exif: bytes | None


def decode_large(data: bytes, size: Size) -> LargeWebP | None:
    """Decode a WebP of this size; of an animation, the first frame on a transparent canvas.

    None if it is small or libwebp cannot be called: Pillow then decodes it. Raises ValueError when it is broken.
    """
    if size[0] * size[1] < MIN_PIXELS or _decoder() is None:
        return None
    if data[12:16] != b"VP8X":
        is_lossless = data[12:16] == b"VP8L"
        has_alpha = is_lossless and bool(struct.unpack_from("<I", data, 21)[0] >> 28 & 1)
        return LargeWebP(_decode(data, size, has_alpha=has_alpha), None, None)
    flags = data[20]
    first: dict[bytes, memoryview] = {}
    for kind, content in _chunks(memoryview(data), 12):
        first.setdefault(kind, content)
    profile, exif = (bytes(first[kind]) if kind in first else None for kind in (b"ICCP", b"EXIF"))
    if not flags & _ANIMATION:
        return LargeWebP(_decode(data, size, has_alpha=bool(flags & _ALPHA)), profile, exif)
    if b"ANMF" not in first:
        raise ValueError("its animation has no frame")
    return LargeWebP(_first_frame(first[b"ANMF"], size, has_alpha=bool(flags & _ALPHA)), profile, exif)


def _first_frame(frame: memoryview, canvas: Size, *, has_alpha: bool) -> Image.Image:
    """Decode the content of a chunk `ANMF` (RFC 9649, 2.7.1.1)."""
    left, top, width, height = (int.from_bytes(frame[at : at + 3], "little") for at in (0, 3, 6, 9))
    size, position = (width + 1, height + 1), (2 * left, 2 * top)
    if position[0] + size[0] > canvas[0] or position[1] + size[1] > canvas[1]:
        raise ValueError("the first frame of its animation lies outside the canvas")
    fills_canvas = size == canvas
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    parts = b"VP8X" + struct.pack("<I", 10) + bytes([_ALPHA, 0, 0, 0]) + sides + bytes(frame[16:])
    still = b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts
    image = _decode(still, size, has_alpha=has_alpha or not fills_canvas)
    return image if fills_canvas else on_transparent_canvas(image, canvas, position)


def _decode(data: bytes, size: Size, *, has_alpha: bool) -> Image.Image:
    """Decode a still picture into memory that the image takes over."""
    decoder = _decoder()
    assert decoder is not None
    row = 4 * size[0]
    pixels = bytearray(row * size[1])
    target = (ctypes.c_char * len(pixels)).from_buffer(pixels)
    if not decoder(data, len(data), ctypes.addressof(target), len(pixels), row):
        raise ValueError("its pixels are broken")
    del target
    return Image.Image()._new(_imaging.map_buffer(pixels, size, "raw", 0, ("RGBA" if has_alpha else "RGB", 0, 1)))


def _chunks(data: memoryview, offset: int) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and content of each chunk that is complete."""
    for _ in range(_MAX_CHUNKS):
        if offset + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, offset)
        if offset + 8 + length > len(data):
            return
        yield kind, data[offset + 8 : offset + 8 + length]
        offset += 8 + length + (length & 1)


@cache
def _decoder() -> Any:
    """The function `WebPDecodeRGBAInto`, through the module of Pillow that is linked with it; None without it."""
    try:
        function = ctypes.CDLL(_webp.__file__).WebPDecodeRGBAInto
    except (OSError, AttributeError):
        return None
    size = ctypes.c_size_t
    function.argtypes = [ctypes.c_char_p, size, ctypes.c_void_p, size, ctypes.c_int]
    function.restype = ctypes.c_void_p
    return function
