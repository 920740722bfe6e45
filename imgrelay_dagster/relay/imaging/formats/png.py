"""Decode PNG and APNG as browsers do: only what the pixels need must be sound.

Pillow gets a copy of the file that holds nothing else, so that no damage in another chunk can fail the image. Colours
and orientation are read here, from the first sound chunk before the pixels (PNG 3rd edition, 5.6 and 4.3).
"""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from PIL import Image, PngImagePlugin

from imgrelay_dagster.relay.imaging.color import to_eight_bits
from imgrelay_dagster.relay.imaging.formats import exif
from imgrelay_dagster.relay.imaging.formats.picture import CodePoints, Colors, Picture, on_transparent_canvas
from imgrelay_dagster.relay.imaging.formats.png_repair import check_complete, last_pixel, repaired
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.imaging.profiles import Chromaticities, gamma_profile, is_supported

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PROFILE = 4 << 20
"""Bytes of an unpacked ICC profile; a larger one is ignored. CMYK profiles, the largest, take 1 to 3 MB."""

_SIDE_CHUNKS = frozenset((b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"acTL", b"fcTL"))
_SRGB_GAMMA, _GAMMA_TOLERANCE = 45_455, 0.05
"""A gamma within 5 % of 1/2.2 alone means sRGB, as in libpng and Chromium."""

Chunk = tuple[bytes, memoryview]


@dataclass(slots=True)
class Parts:
    """The chunks of a PNG that matter. `side` holds the first sound one of each kind before the pixels."""

    header: bytes = b""
    palette: list[Chunk] = field(default_factory=list)
    side: dict[bytes, bytes] = field(default_factory=dict)
    pixels: list[Chunk] = field(default_factory=list)
    frame: bytes | None = None
    frame_pixels: list[Chunk] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """The number of frames that an APNG states; 1 for a still image."""
        control = self.side.get(b"acTL", b"")
        return max(1, struct.unpack_from(">I", control)[0]) if len(control) == 8 else 1

    @property
    def hides_default_image(self) -> bool:
        """Whether the animation begins behind the default image, which is then not shown."""
        control = self.side.get(b"acTL", b"")
        return len(control) == 8 and any(control[:4]) and b"fcTL" not in self.side


def decode(data: bytes, size: Size) -> Picture:
    """Decode a PNG of this size; of an APNG, its first frame.

    Raises ValueError, OSError or SyntaxError when it is broken.
    """
    parts = read_parts(data)
    depth = parts.header[8]
    image = (
        _first_animated_frame(parts, size) if parts.hides_default_image else _load(parts.header, parts, parts.pixels)
    )
    metadata = parts.side.get(b"eXIf")
    orientation = exif.orientation(metadata)
    return Picture(image, size, _colors(parts.side), orientation, depth=depth, frames=parts.frames, exif=metadata)


def read_parts(data: bytes) -> Parts:
    """Read the chunks up to the end of the pixels; of an APNG, up to the end of its first frame."""
    parts = Parts()
    for kind, body, checksum in _chunks(data):
        if kind == b"IDAT":
            parts.pixels.append((kind, body))
        elif kind in (b"IHDR", b"PLTE"):
            if not _is_sound(kind, body, checksum):
                raise ValueError(f"its {kind.decode()} chunk is broken")
            if kind == b"PLTE":
                parts.palette.append((kind, body))
            parts.header = parts.header or bytes(body)
        elif kind == b"IEND":
            if parts.hides_default_image and parts.frame is None:
                del parts.side[b"acTL"]  # an animation without any frame: the file holds a still image
            break
        elif parts.pixels and not _belongs_to_first_frame(parts, kind, body):
            break
        elif kind in _SIDE_CHUNKS and not parts.pixels and kind not in parts.side and _is_sound(kind, body, checksum):
            parts.side[kind] = bytes(body)
    if len(parts.header) != 13:
        raise ValueError("its header chunk is broken")
    return parts


def _belongs_to_first_frame(parts: Parts, kind: bytes, body: memoryview) -> bool:
    """Keep the chunk behind the pixels if it is of the first frame; whether there may be more of that frame."""
    if not parts.hides_default_image:
        return False
    if kind == b"fcTL" and parts.frame is None:
        parts.frame = bytes(body)
    elif kind == b"fdAT" and parts.frame is not None:
        parts.frame_pixels.append((b"IDAT", body[4:]))
    return not (kind == b"fcTL" and parts.frame_pixels)


def _first_animated_frame(parts: Parts, canvas: Size) -> Image.Image:
    """Return the first frame of an APNG on its canvas."""
    if parts.frame is None or len(parts.frame) != 26 or not parts.frame_pixels:
        raise ValueError("its animation has no first frame")
    width, height, left, top = struct.unpack_from(">4I", parts.frame, 4)
    if not (0 < width <= canvas[0] - left and 0 < height <= canvas[1] - top):
        raise ValueError("the first frame of its animation lies outside the canvas")
    image = _load(struct.pack(">II", width, height) + parts.header[8:], parts, parts.frame_pixels)
    if (width, height) == canvas:
        return image
    return on_transparent_canvas(to_eight_bits(image, parts.header[8]), canvas, (left, top))


def _load(header: bytes, parts: Parts, pixels: list[Chunk]) -> Image.Image:
    before = [(b"IHDR", memoryview(header)), *parts.palette, *_transparency(header, parts.side.get(b"tRNS"))]
    place = last_pixel(header)
    try:
        image = _Marked.opened(_file([*before, *pixels]), place)
    except (OSError, SyntaxError):
        return _Marked.opened(_file([*before, *repaired(header, pixels)]), place)
    if image.im.getpixel(place) == image.mark:
        check_complete(header, pixels)
    return image


def _transparency(header: bytes, body: bytes | None) -> list[Chunk]:
    """Return the tRNS chunk without surplus bytes; none if it is too short for its colour type (11.3.1.1)."""
    least, most = {0: (2, 2), 2: (6, 6), 3: (0, 256)}.get(header[9], (0, 0))
    return [(b"tRNS", memoryview(body)[:most])] if body is not None and len(body) >= least else []


class _Marked(PngImagePlugin.PngImageFile):
    """Pillow takes a zlib stream that ends before the last row for a complete one: a mark in that row then stays."""

    mark: int | tuple[int, ...] = 0
    place = (0, 0)

    @classmethod
    def opened(cls, data: bytes, place: tuple[int, int]) -> "_Marked":
        image = cls(io.BytesIO(data))
        image.place = place
        image.load()
        return image

    def load_prepare(self) -> None:
        super().load_prepare()
        bands = len(self.getbands())
        self.mark = (1, 2, 3, 4)[:bands] if bands > 1 else 1  # rare, as it takes a check where it stays
        self.im.putpixel(self.place, self.mark)
        self.mark = self.im.getpixel(self.place)


def _file(chunks: Iterable[Chunk]) -> bytes:
    pieces: list[bytes | memoryview] = [SIGNATURE]
    for kind, body in (*chunks, (b"IEND", memoryview(b""))):
        checksum = 0 if kind == b"IDAT" else zlib.crc32(body, zlib.crc32(kind))  # Pillow does not read that of pixels
        pieces += struct.pack(">I", len(body)), kind, body, struct.pack(">I", checksum)
    return b"".join(pieces)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, bytes]]:
    """Yield kind, body and checksum of each chunk; a body that the file cuts short is yielded as far as it goes."""
    view, offset = memoryview(data), len(SIGNATURE)
    while offset + 8 <= len(data):
        end = offset + 8 + struct.unpack_from(">I", data, offset)[0]
        yield data[offset + 4 : offset + 8], view[offset + 8 : end], data[end : end + 4]
        offset = end + 4


def _is_sound(kind: bytes, body: memoryview, checksum: bytes) -> bool:
    return zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big") == checksum


def _colors(side: dict[bytes, bytes]) -> Colors:
    """Return how the colours are stated: cICP before iCCP before sRGB before gAMA."""
    if len(code := side.get(b"cICP", b"")) == 4 and is_supported(CodePoints(code[0], code[1])) and not code[2]:
        return CodePoints(code[0], code[1])
    if profile := _unpacked_profile(side.get(b"iCCP", b"")):
        return profile
    if b"sRGB" in side or len(side.get(b"gAMA", b"")) != 4:
        return None
    gamma = int.from_bytes(side[b"gAMA"], "big")
    chromaticities = side.get(b"cHRM", b"")
    if len(chromaticities) == 32:
        values = struct.unpack(">8I", chromaticities)
        return gamma_profile(gamma / 100_000, Chromaticities(*(value / 100_000 for value in values)))
    if abs(gamma / _SRGB_GAMMA - 1) <= _GAMMA_TOLERANCE:
        return None
    return gamma_profile(gamma / 100_000)


def _unpacked_profile(chunk: bytes) -> bytes | None:
    name, _, packed = chunk.partition(b"\0")
    if not name or packed[:1] != b"\0":
        return None
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], MAX_PROFILE)
    except zlib.error:
        return None
    return profile if unpacker.eof else None
