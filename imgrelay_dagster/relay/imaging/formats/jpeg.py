"""Decode JPEG with libjpeg-turbo, so that a scan that ends early is told apart from a complete one.

libjpeg fills the pixels that are missing with gray and only warns. Pillow hides the warning; simplejpeg raises it. Both
decode to the same pixels.
"""

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, JpegImagePlugin, _imaging

from imgrelay_dagster.relay.imaging.formats import exif
from imgrelay_dagster.relay.imaging.formats.jpeg_arithmetic import ARITHMETIC, check_last_scan
from imgrelay_dagster.relay.imaging.formats.jpeg_segments import (
    FRAMES,
    LOSSLESS,
    PROGRESSIVE,
    START_OF_SCAN,
    first_image,
    segments,
)
from imgrelay_dagster.relay.imaging.formats.picture import Picture, Reduce
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.imaging.orientation import upright_size

Array = Any
"""A NumPy array of samples; NumPy is not imported for its type alone."""

LEAST_LEFT = 1.3
"""A reduced JPEG is at least so many times as wide and high as its target. A photo of 12 megapixels on 1080x1080, PSNR
to a full decode with Lanczos, and CPU time: full decode and bicubic 48 dB, 124 ms; half the size and Lanczos 45 dB,
77 ms; half the size and bicubic 43 dB, 68 ms."""

_EXIF, _ICC = b"Exif\0\0", b"ICC_PROFILE\0"
_END = b"\xff\xd9"
_MODES = {1: ("GRAY", "L"), 3: ("RGBX", "RGB")}
"""simplejpeg's and Pillow's names for the samples, by the number of colours."""
_NO_END = "Premature end of JPEG file"
_TOO_FEW_PIXELS = ("premature end of data segment", "instead of RST")
_WARNINGS = ("Corrupt JPEG data", "Premature end", "Inconsistent progression", "Invalid SOS", "Warning")


@dataclass(slots=True)
class Header:
    """What the segments before the first scan say.

    `parts` holds the ICC profile's parts by their number, `part_spans` where their segments begin and end, and
    `stray_spans` the same of bytes that belong to no segment. `scan` is where the first scan begins, 0 without one.
    """

    marker: int = 0
    precision: int = 0
    colors: int = 0
    exif: bytes | None = None
    parts: dict[int, bytes] = field(default_factory=dict)
    part_count: int = 0
    part_spans: list[tuple[int, int]] = field(default_factory=list)
    stray_spans: list[tuple[int, int]] = field(default_factory=list)
    scan: int = 0

    @property
    def profile(self) -> bytes | None:
        """The ICC profile, if all of its parts are there and hold something."""
        if not self.parts or set(self.parts) != set(range(1, self.part_count + 1)):
            return None
        return b"".join(self.parts[number] for number in range(1, self.part_count + 1)) or None


def decode(data: bytes, size: Size, reduce: Reduce | None = None) -> Picture:
    """Decode a JPEG of this size, at a half, quarter or eighth of it if that is more than what `reduce` returns.

    Raises ValueError or OSError when pixels are missing or the file is broken.
    """
    header = read_header(data)
    if header.scan:
        data = first_image(data, header.scan)
    refused = header.stray_spans  # by libjpeg-turbo
    if header.part_spans and (header.profile is None or len(header.part_spans) > header.part_count):
        refused = sorted(refused + header.part_spans)
    if refused:
        data = _without(data, refused)
    orientation = exif.orientation(header.exif)
    factor = _reduction(size, orientation, reduce) if reduce and header.marker not in LOSSLESS else 1
    image = _decode_plain(data, header, size, factor) or _decode_any(data, header, size, factor)
    return Picture(
        image, size, header.profile, orientation, covered=(size[0] / factor, size[1] / factor), exif=header.exif
    )


def read_header(data: bytes) -> Header:
    """Read the segments up to the first scan. Of several EXIF segments or copies of a profile the first counts."""
    header = Header()
    for marker, offset, skipped in segments(data):
        if skipped:
            header.stray_spans.append((offset - 2 - skipped, offset - 2))
        if marker == START_OF_SCAN:
            header.scan = offset
            break
        end = offset + (data[offset] << 8 | data[offset + 1])
        if marker in FRAMES and offset + 7 < len(data) and not header.marker:
            header.marker, header.precision, header.colors = marker, data[offset + 2], data[offset + 7]
        elif marker == 0xE1 and header.exif is None and data.startswith(_EXIF, offset + 2):
            header.exif = data[offset + 8 : end]
        elif marker == 0xE2 and data.startswith(_ICC, offset + 2) and offset + 16 <= end:
            number, header.part_count = data[offset + 14], header.part_count or data[offset + 15]
            header.parts.setdefault(number, data[offset + 16 : end])
            header.part_spans.append((offset - 2, end))
    return header


def _without(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    starts, ends = [0, *(end for _, end in spans)], [*(start for start, _ in spans), len(data)]
    return b"".join(data[start:end] for start, end in zip(starts, ends, strict=True))


def _reduction(size: Size, orientation: int, reduce: Reduce) -> int:
    """Return 1, 2, 4 or 8, so that at least `LEAST_LEFT` times the target is left."""
    width, height = upright_size(reduce(upright_size(size, orientation)), orientation)
    scale = min(size[0] / (LEAST_LEFT * width), size[1] / (LEAST_LEFT * height))
    return next((factor for factor in (8, 4, 2) if scale >= factor), 1)


def _decode_plain(data: bytes, header: Header, size: Size, factor: int) -> Image.Image | None:
    """Decode 8-bit gray or colour; None for the kinds that simplejpeg does not read."""
    if header.precision != 8 or header.colors not in _MODES or header.marker in LOSSLESS:
        return None
    colorspace, mode = _MODES[header.colors]
    small = -(-size[0] // factor), -(-size[1] // factor)
    if _size_in_decoder(data) != size:
        return None
    pixels = _decode_whole(data, header.marker, colorspace, small, factor)
    if pixels is None:
        return None
    # The image takes over the samples: Pillow, too, keeps RGB in four bytes a pixel.
    return Image.Image()._new(_imaging.map_buffer(pixels, small, "raw", 0, (mode, 0, 1)))


def _size_in_decoder(data: bytes) -> Size | None:
    from simplejpeg import decode_jpeg_header  # noqa: PLC0415 - as below

    try:
        height, width, *_ = decode_jpeg_header(data, strict=False)
    except ValueError:
        return None
    return width, height


def _decode_whole(data: bytes, marker: int, colorspace: str, small: Size, factor: int) -> Array | None:
    """Return the samples. Raises ValueError when pixels are missing; returns None for a kind that cannot be read."""
    from simplejpeg import decode_jpeg  # noqa: PLC0415 - imports NumPy, which only a process that decodes needs

    def decoded(body: bytes, *, strict: bool) -> Array:
        options = {"min_width": small[0], "min_height": small[1], "min_factor": factor, "strict": strict}
        return decode_jpeg(body, colorspace, **options)

    if marker in ARITHMETIC:
        check_last_scan(data, colorspace)
    return _strictly(decoded, data, marker)


def _strictly(decoded: Callable[..., Array], data: bytes, marker: int) -> Array | None:
    """Decode, and decode again past a warning that concerns no pixel."""
    try:
        return decoded(data, strict=True)
    except ValueError as error:
        warning = str(error)
    if warning.startswith(_NO_END):
        if marker in PROGRESSIVE and not _has_all_coefficients(data):
            raise ValueError("it ends before its last scan")
        data += _END  # whether the scan is complete shows when the file has an end
        try:
            return decoded(data, strict=True)
        except ValueError as error:
            warning = str(error)
    if any(words in warning for words in _TOO_FEW_PIXELS) and not _is_out_of_step(warning):
        raise ValueError("its scan data end before all pixels")
    if not warning.startswith(_WARNINGS):
        return None
    return decoded(data, strict=False)


def _is_out_of_step(warning: str) -> bool:
    """Whether a restart marker stands where another one belongs: the decoder resynchronises, as in browsers."""
    return any(f"found marker 0xd{number:x} " in warning for number in range(8))


def _has_all_coefficients(data: bytes) -> bool:
    """Whether the scans of a progressive JPEG bring every coefficient of every colour to full precision."""
    complete: set[tuple[int, int]] = set()
    colors: set[int] = set()
    with suppress(IndexError, struct.error):
        for marker, offset, _ in segments(data):
            if marker in FRAMES:
                colors.update(data[offset + 8 + 3 * number] for number in range(data[offset + 7]))
            elif marker == START_OF_SCAN:
                count = data[offset + 2]
                first, last, approximation = struct.unpack_from("BBB", data, offset + 3 + 2 * count)
                if approximation & 15 == 0:
                    names = [data[offset + 3 + 2 * number] for number in range(count)]
                    complete.update((name, at) for name in names for at in range(first, last + 1))
    return all((name, at) in complete for name in colors for at in range(64))


def _decode_any(data: bytes, header: Header, size: Size, factor: int) -> Image.Image:
    """Decode with Pillow: CMYK, lossless JPEG and rare subsamplings."""
    if header.colors == 4 and header.precision == 8 and header.marker not in LOSSLESS:
        _decode_whole(data, header.marker, "CMYK", (1, 1), 8)  # tells whether its scan data end early
    if _END not in data[-64:]:
        data += _END
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    if image.size != size:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    if factor > 1:
        image.draft(None, (size[0] // factor, size[1] // factor))
    # An arithmetic decoder cannot wait for the next block: it gets the whole file at once.
    image.decodermaxblock = len(data)
    image.load()
    return image
