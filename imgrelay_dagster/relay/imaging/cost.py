"""What decoding a file costs at most, read from its headers before a decoder sees it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from imgrelay_dagster.relay.imaging.avif import read_avif
from imgrelay_dagster.relay.imaging.formats.signatures import SourceFormat
from imgrelay_dagster.relay.imaging.layout import Size

MAX_CHEAP_AVIF_PIXELS = 4_000_000
"""An AVIF of more pixels is decoded in another process: Pillow holds the interpreter's lock while it decodes one."""

MAX_CHEAP_SCAN_PIXELS = 500_000_000
"""Pixels of a JPEG times its scans, above which it is decoded in another process; about two seconds."""

_START_OF_SCAN = re.compile(rb"\xff\xda")


@dataclass(frozen=True, slots=True)
class Cost:
    """What decoding a file costs at most.

    Attributes:
        pixels: the pixels that its decoder allocates: those of its bitstream if they are more than its header's.
        memory: the bytes that decoding it to RGB or RGBA takes at its peak.
        is_bounded: whether the time is known to be short for these pixels. Other files are decoded in a process of
            their own, with a time limit (`decoder_pool.py`).
    """

    pixels: int
    memory: int
    is_bounded: bool = True


_BYTES_PER_PIXEL = {
    SourceFormat.JPEG: 12,
    SourceFormat.PNG: 12,
    SourceFormat.WEBP: 16,
    SourceFormat.GIF: 12,
    SourceFormat.AVIF: 24,
    SourceFormat.BMP: 12,
    SourceFormat.TIFF: 24,
    SourceFormat.ICO: 12,
    SourceFormat.JPEG_2000: 40,
    SourceFormat.HEIC: 24,
    SourceFormat.JPEG_XL: 40,
}
"""Peak memory of decoding and of conversion to RGB or RGBA, in bytes per pixel, rounded up."""


def estimate_cost(data: bytes, source_format: SourceFormat, size: Size) -> Cost:
    """The cost of a file whose header states this size in pixels.

    Raises:
        EntryFailure: `too_costly` or `corrupt_image`.
    """
    pixels = size[0] * size[1]
    estimate = _ESTIMATES.get(source_format)
    if estimate is not None:
        pixels, is_bounded = estimate(data, pixels)
    else:
        is_bounded = True
    return Cost(pixels, pixels * _BYTES_PER_PIXEL[source_format] + 2 * len(data), is_bounded)


def _jpeg(data: bytes, pixels: int) -> tuple[int, bool]:
    limit = MAX_CHEAP_SCAN_PIXELS // pixels
    scans = sum(1 for _ in islice(_START_OF_SCAN.finditer(data), limit + 1)) if pixels > 2_000_000 else 0
    return pixels, scans <= limit


def _avif(data: bytes, pixels: int) -> tuple[int, bool]:
    file = read_avif(data)
    pixels = max(pixels, file.coded_pixels)
    return pixels, file.is_simple and pixels <= MAX_CHEAP_AVIF_PIXELS


_UNBOUNDED = (SourceFormat.TIFF, SourceFormat.JPEG_2000, SourceFormat.HEIC, SourceFormat.JPEG_XL)
"""Formats whose decoders may take long for a small file; they are rare enough for a process of their own."""

_ESTIMATES: dict[SourceFormat, Callable[[bytes, int], tuple[int, bool]]] = {
    SourceFormat.JPEG: _jpeg,
    SourceFormat.AVIF: _avif,
    **dict.fromkeys(_UNBOUNDED, lambda _, pixels: (pixels, False)),
}
