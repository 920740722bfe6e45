"""Picture files made by hand for the tests: encoders, PNG chunks, ICC profiles and small colour formulas."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from PIL import Image

Pixel = tuple[int, ...]


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """The file Pillow writes for an image."""
    return saved(image.save, format=file_format, **options)


def saved(save: Callable[..., object], **options: Any) -> bytes:
    """The file that a library's function writes."""
    buffer = io.BytesIO()
    save(buffer, **options)
    return buffer.getvalue()


def noise(size: tuple[int, int], seed: int = 1, mode: str = "RGB") -> Image.Image:
    """Reproducible soft noise, so that lossy formats keep it within a few levels."""
    small = (size[0] // 8 + 2, size[1] // 8 + 2)
    bands = len(Image.new(mode, (1, 1)).getbands())
    data = random.Random(seed).randbytes(small[0] * small[1] * bands)
    return Image.frombytes(mode, small, data).resize(size, Image.Resampling.BICUBIC)


def pixels(image: Image.Image) -> list[Pixel]:
    """All pixels in rows from the top, each as a tuple of its bands."""
    data, bands = image.tobytes(), len(image.getbands())
    return [tuple(data[at : at + bands]) for at in range(0, len(data), bands)]


def largest_difference(actual: Image.Image, expected: Iterable[Pixel]) -> int:
    """The largest difference of any band of any pixel."""
    pairs = zip(pixels(actual), expected, strict=True)
    return max(abs(a - b) for left, right in pairs for a, b in zip(left, right, strict=True))


def mean_difference(left: Image.Image, right: Image.Image) -> float:
    """The mean difference of all bands, 0..255."""
    assert (left.mode, left.size) == (right.mode, right.size)
    a, b = left.tobytes(), right.tobytes()
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk: length, type, body, CRC (PNG 3rd edition, 5.3)."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(size: tuple[int, int], depth: int, color_type: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG from raw rows, each beginning with filter byte 0, and chunks that stand before the pixels."""
    header = struct.pack(">IIBBBBB", *size, depth, color_type, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def bmp_with_masks(image: Image.Image, masks: Sequence[int], *, bits: int = 16) -> bytes:
    """A BMP whose channels lie in its pixels by these masks; of four, the last is that of alpha."""
    shifts = [(mask & -mask).bit_length() - 1 for mask in masks]
    highest = [mask >> shift for mask, shift in zip(masks, shifts, strict=True)]
    rows = b""
    for y in reversed(range(image.height)):
        row = b""
        for x in range(image.width):
            levels = image.getpixel((x, y))
            assert isinstance(levels, tuple)
            parts = zip(levels, highest, shifts, strict=True)
            row += sum(round(level * most / 255) << shift for level, most, shift in parts).to_bytes(bits // 8, "little")
        rows += row + bytes(-len(row) % 4)
    header = struct.pack("<IiiHHIIiiII", 108, *image.size, 1, bits, 3, len(rows), 0, 0, 0, 0)
    header += struct.pack("<4I", *masks, *[0] * (4 - len(masks))) + bytes(52)
    return b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122) + header + rows


def srgb_encoded(linear: float) -> int:
    """Linear light 0..1 to an sRGB level 0..255 (IEC 61966-2-1)."""
    linear = min(max(linear, 0.0), 1.0)
    return round(255 * (12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055))


SRGB_PRIMARIES = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
"""XYZ of sRGB's red, green and blue, adapted to D50, as ICC profiles hold them."""


def rgb_profile(primaries: Sequence[Sequence[float]] = SRGB_PRIMARIES, gamma: float = 1.0) -> bytes:
    """A matrix profile with one gamma for all channels."""
    tags = {name: _xyz(color) for name, color in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    curve = _gamma(gamma)
    return _profile(b"mntr", b"RGB ", b"XYZ ", {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def gray_profile(gamma: float = 1.0) -> bytes:
    """A grey profile with a gamma."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _gamma(gamma)})


def cmyk_profile() -> bytes:
    """A CMYK profile in which only black counts: lightness L* = 100 x (1 - K), whatever C, M and Y are."""
    identity = bytes(range(256))
    corners = b"".join(bytes((255 * (1 - (corner & 1)), 128, 128)) for corner in range(16))
    matrix = struct.pack(">9i", *(65536 if at in (0, 4, 8) else 0 for at in range(9)))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + identity * 4 + corners + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def gray_of_lightness(lightness: float) -> int:
    """The sRGB level of a neutral colour of CIE L* 0..100."""
    root = (lightness + 16) / 116
    return srgb_encoded(root**3 if root > 6 / 29 else lightness / 903.3)


def _xyz(color: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in color))


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC version 2 profile: header of 128 bytes, table of tags, tags (ICC.1:2001-04, 6)."""
    white = (0.9642, 1.0, 0.8249)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78) + b"\0\0\0"
    tags = {b"desc": text, b"wtpt": _xyz(white), **tags}
    at, table, bodies = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += name + struct.pack(">II", at + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    size = at + len(bodies)
    header = struct.pack(">I4sI", size, b"test", 0x02400000) + kind + space + connection + bytes(12)
    header += b"acsp" + bytes(28) + _xyz(white)[8:]
    return header.ljust(128, b"\0") + table + bodies
