"""The pictures that take most memory for their number of pixels, by name: one or several of each format.

python -m benchmarks.memory.pictures NAME PIXELS FILE
"""

import io
import math
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from PIL import Image

from imgrelay_dagster.demo.icc_profiles import profile

Size = tuple[int, int]
_TILE = 512


def _coarse(level: int) -> int:
    """Few levels, so that a file stays below `download.max_bytes`."""
    return level & 0xE0


def grain(size: Size, mode: str = "RGB") -> Image.Image:
    """A picture of repeated noise, in a mode of eight bits a sample."""
    bands = [Image.effect_noise((_TILE, _TILE), 40 + 9 * band).point(_coarse) for band in range(len(mode))]
    tile = Image.merge(mode, bands)
    image = Image.new(mode, size)
    for left in range(0, size[0], _TILE):
        for top in range(0, size[1], _TILE):
            image.paste(tile, (left, top))
    return image


def saved(size: Size, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """A picture as Pillow writes it."""
    buffer = io.BytesIO()
    grain(size, mode).save(buffer, kind, **options)
    return buffer.getvalue()


def turned(size: Size, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """A picture that lies on its side, in colours of its own: it is converted and turned."""
    return saved(size, kind, mode, exif=_on_its_side(), icc_profile=profile("display-p3-like"), **options)


def _on_its_side() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    return exif.tobytes()


def deep_png(size: Size) -> bytes:
    """A PNG with 16 bits a sample and alpha, interlaced, which needs the whole picture at once."""
    return _png(size, 16, 6, 8, interlaced=True)


def gray_png(size: Size) -> bytes:
    """A PNG of 16-bit gray with a transparent level."""
    return _png(size, 16, 0, 2, (b"tRNS", b"\0\1"))


def _png(
    size: Size, depth: int, color: int, bytes_a_pixel: int, *extra: tuple[bytes, bytes], interlaced: bool = False
) -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, int(interlaced))
    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(row) for row in _rows(size, bytes_a_pixel, interlaced=interlaced)) + packer.flush()
    chunks = [(b"IHDR", header), *extra, (b"IDAT", body), (b"IEND", b"")]
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _rows(size: Size, bytes_a_pixel: int, *, interlaced: bool) -> Iterator[bytes]:
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    for left, top, right, down in passes if interlaced else ((0, 0, 1, 1),):
        width, height = -(-(size[0] - left) // right), -(-(size[1] - top) // down)
        row = b"\0" + bytes(range(251)) * (width * bytes_a_pixel // 251 + 1)
        yield from (row[: 1 + width * bytes_a_pixel] for _ in range(height))


def animation(size: Size, kind: str) -> bytes:
    """An animation whose first frame is a little smaller than its canvas."""
    frame = grain((size[0] - 8, size[1] - 8), "RGBA" if kind == "WEBP" else "L")
    if kind == "GIF":
        buffer = io.BytesIO()
        frame.save(buffer, kind)
        data = bytearray(buffer.getvalue())
        struct.pack_into("<HH", data, 6, *size)
        return bytes(data)
    buffer = io.BytesIO()
    frame.save(buffer, kind, lossless=True, quality=0, method=0)
    return webp_animation(size, buffer.getvalue(), frame.size)


def webp_animation(size: Size, still: bytes, frame: Size) -> bytes:
    """A WebP animation of one frame at the top left (RFC 9649, 2.7.1.1)."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in frame)
    parts = b"VP8L" + _body(still)
    shown = bytes(6) + sides + (100).to_bytes(3, "little") + b"\0" + parts
    canvas = b"".join((side - 1).to_bytes(3, "little") for side in size)
    chunks = (b"VP8X", b"\x12\0\0\0" + canvas), (b"ANIM", bytes(6)), (b"ANMF", shown)
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _body(still: bytes) -> bytes:
    """Length and content of the chunk `VP8L`."""
    at = still.index(b"VP8L") + 4
    length = struct.unpack_from("<I", still, at)[0]
    return still[at : at + 4 + length + length % 2]


def deep_tiff(size: Size) -> bytes:
    """A TIFF with 16 bits a sample and alpha, which lies on its side; a strip holds a few rows."""
    return _tiff(size, (16, 16, 16, 16), rows=max(1, (64 << 10) // (8 * size[0])))


def strip_tiff(size: Size) -> bytes:
    """A TIFF with alpha, all of whose rows are in one strip."""
    return _tiff(size, (8, 8, 8, 8), rows=size[1])


def _tiff(size: Size, bits: tuple[int, ...], rows: int) -> bytes:
    """A TIFF with alpha, compressed by deflate, in big-endian order (TIFF 6.0, section 2)."""
    row = bytes(range(251)) * (size[0] * sum(bits) // 8 // 251 + 1)
    row = row[: size[0] * sum(bits) // 8]
    strips = [zlib.compress(row * min(rows, size[1] - top), 1) for top in range(0, size[1], rows)]
    fields: list[tuple[int, str, tuple[int, ...]]] = [
        *((256, "I", (size[0],)), (257, "I", (size[1],)), (258, "H", bits)),
        *((259, "H", (8,)), (262, "H", (2,)), (273, "I", (0,) * len(strips)), (274, "H", (6,))),
        *((277, "H", (len(bits),)), (278, "I", (rows,)), (279, "I", tuple(map(len, strips))), (338, "H", (2,))),
    ]
    after = 8 + 2 + 12 * len(fields) + 4
    lengths = [len(values) * struct.calcsize(kind) for _, kind, values in fields]
    body = after + sum(length for length in lengths if length > 4)
    starts = tuple(accumulate(map(len, strips[:-1]), initial=body))
    directory, values = b"", b""
    for (tag, kind, numbers), length in zip(fields, lengths, strict=True):
        packed = struct.pack(f">{len(numbers)}{kind}", *(starts if tag == 273 else numbers))
        directory += struct.pack(">HHI", tag, 3 if kind == "H" else 4, len(numbers))
        directory += packed.ljust(4, b"\0") if length <= 4 else struct.pack(">I", after + len(values))
        values += packed if length > 4 else b""
    return b"MM\0*" + struct.pack(">IH", 8, len(fields)) + directory + bytes(4) + values + b"".join(strips)


def heic(size: Size, mode: str = "RGB", chroma: int = 420) -> bytes:
    """A HEIC; without alpha it lies on its side and is in colours of its own."""
    import pillow_heif  # noqa: PLC0415 - an extra

    return _saved_heic(pillow_heif.from_pillow(grain(_even(size), mode)), chroma)


def deep_heic(size: Size, chroma: int) -> bytes:
    """A HEIC of ten bits a sample, which lies on its side, in colours of its own."""
    import pillow_heif  # noqa: PLC0415 - an extra

    size = _even(size)
    samples = bytearray(6 * size[0] * size[1])
    samples[1::2] = grain(size).tobytes()
    return _saved_heic(pillow_heif.from_bytes("RGB;16", size, bytes(samples)), chroma)


def _even(size: Size) -> Size:
    """Encoders of HEIC fill odd sides up."""
    return size[0] & ~1, size[1] & ~1


def _saved_heic(file: Any, chroma: int) -> bytes:
    buffer, options = io.BytesIO(), {"quality": 20, "chroma": chroma, "enc_params": {"preset": "ultrafast"}}
    colors: dict[str, Any] = (
        {} if file.mode.startswith("RGBA") else {"icc_profile": profile("display-p3-like"), "exif": _on_its_side()}
    )
    file.save(buffer, **options, **colors)
    return buffer.getvalue()


def jxl(size: Size) -> bytes:
    """A JPEG XL with alpha."""
    import pillow_jxl  # noqa: F401, PLC0415 - an extra

    return saved(size, "JXL", "RGBA", quality=70, effort=1)


PICTURES: dict[str, Callable[[Size], bytes]] = {
    "jpeg": partial(turned, kind="JPEG", subsampling=0, quality=70),
    "jpeg-progressive": partial(turned, kind="JPEG", subsampling=0, quality=70, progressive=True),
    "jpeg-cmyk": partial(saved, kind="JPEG", mode="CMYK", subsampling=0, quality=70, progressive=True),
    "png": partial(turned, kind="PNG", mode="RGBA", compress_level=1),
    "png-16": deep_png,
    "png-gray": gray_png,
    "webp": partial(turned, kind="WEBP", quality=50, method=0),
    "webp-alpha": partial(turned, kind="WEBP", mode="RGBA", quality=50, method=0),
    "webp-lossless": partial(turned, kind="WEBP", mode="RGBA", lossless=True, quality=0, method=0),
    "webp-animation": partial(animation, kind="WEBP"),
    "gif": partial(saved, kind="GIF", mode="L"),
    "gif-animation": partial(animation, kind="GIF"),
    "avif": partial(turned, kind="AVIF", speed=10, quality=40),
    "avif-alpha": partial(turned, kind="AVIF", mode="RGBA", speed=10, quality=40, subsampling="4:4:4"),
    "tiff": partial(turned, kind="TIFF", mode="RGBA", compression="tiff_adobe_deflate"),
    "tiff-cmyk": partial(saved, kind="TIFF", mode="CMYK", compression="tiff_adobe_deflate"),
    "tiff-16": deep_tiff,
    "tiff-strip": strip_tiff,
    "jpeg2000": partial(
        saved, kind="JPEG2000", mode="RGBA", irreversible=True, quality_mode="rates", quality_layers=[40]
    ),
    "heic": heic,
    "heic-444": partial(heic, chroma=444),
    "heic-10": partial(deep_heic, chroma=420),
    "heic-10-444": partial(deep_heic, chroma=444),
    "heic-alpha": partial(heic, mode="RGBA"),
    "jxl": jxl,
}


def main() -> None:
    """Write one picture to a file."""
    name, pixels, path = sys.argv[1:]
    side = math.isqrt(int(pixels))
    Path(path).write_bytes(PICTURES[name]((side, side)))


if __name__ == "__main__":
    main()
