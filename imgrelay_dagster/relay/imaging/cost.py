"""What decoding a file costs at most, read from its headers before a decoder sees it."""

import re
from dataclasses import dataclass
from itertools import islice

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.avif import read_avif
from imgrelay_dagster.relay.imaging.formats.jpeg import read_header
from imgrelay_dagster.relay.imaging.formats.signatures import SourceFormat
from imgrelay_dagster.relay.imaging.formats.webp_large import MIN_PIXELS
from imgrelay_dagster.relay.imaging.heic import read_heic
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.outcomes import Reason

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
        pixel_memory: the bytes that decoding and composing hold at their peak, without those of the file.
        file_memory: the bytes of the file and a copy.
        is_bounded: whether the time is known to be short for these pixels. Other files are decoded in a process of
            their own, with a time limit (`decoder_pool.py`).
    """

    pixels: int
    pixel_memory: int
    file_memory: int
    is_bounded: bool = True

    @property
    def memory(self) -> int:
        """The bytes of both."""
        return self.pixel_memory + self.file_memory


PERMITTED_BYTES = 10.5
"""Bytes that decoding and composing may hold for each pixel of `download.max_pixels`."""

PERMITTED_BYTES_ISOLATED = 9.0
"""The same for pictures that are decoded in a process of their own, which comes on top of the step's process."""

_BYTES_PER_PIXEL: dict[SourceFormat, float] = {
    SourceFormat.JPEG: 8,
    SourceFormat.PNG: 10,
    SourceFormat.WEBP: 8.5,
    SourceFormat.GIF: 9,
    SourceFormat.BMP: 9,
    SourceFormat.TIFF: 9,
    SourceFormat.ICO: 10,
    SourceFormat.JPEG_2000: 25,
    SourceFormat.JPEG_XL: 25,
}
"""Peak memory of decoding, converting and turning, or of drawing a template over the image, in bytes per pixel.
`python -m benchmarks.memory` measures it. Of JPEG, AVIF and HEIC it depends on the file."""

_LEAST_PIXELS = 16_000_000
"""A lower `download.max_pixels` does not lower the permitted memory further: 160 MiB."""

_SMALL_WEBP = 16  # bytes per pixel: Pillow's decoder


def estimate_cost(data: bytes, source_format: SourceFormat, size: Size) -> Cost:
    """The cost of a file whose header states this size in pixels.

    Raises:
        EntryFailure: `too_costly` or `corrupt_image`.
    """
    pixels = size[0] * size[1]
    match source_format:
        case SourceFormat.JPEG:
            bytes_per_pixel, is_bounded = _jpeg(data, pixels)
        case SourceFormat.AVIF:
            pixels, bytes_per_pixel, is_bounded = _avif(data, pixels)
        case SourceFormat.HEIC:
            pixels, bytes_per_pixel, is_bounded = _heic(data, pixels)
        case SourceFormat.WEBP if pixels < MIN_PIXELS:
            bytes_per_pixel, is_bounded = _SMALL_WEBP, True
        case _:
            bytes_per_pixel, is_bounded = _BYTES_PER_PIXEL[source_format], source_format not in _UNBOUNDED
    return Cost(pixels, round(pixels * bytes_per_pixel), 2 * len(data), is_bounded)


def check_memory(cost: Cost, max_pixels: int) -> None:
    """Refuse a picture that takes more memory than a step has for `max_pixels`.

    Raises:
        EntryFailure: `too_costly`.
    """
    permitted = max(max_pixels, _LEAST_PIXELS) * (PERMITTED_BYTES if cost.is_bounded else PERMITTED_BYTES_ISOLATED)
    if cost.pixel_memory > permitted:
        raise EntryFailure(
            Reason.TOO_COSTLY,
            f"decoding its {cost.pixels:,} pixels takes {cost.pixel_memory >> 20:,} MiB; "
            f"the limit is {int(permitted) >> 20:,} MiB for download.max_pixels {max_pixels}",
        )


def _jpeg(data: bytes, pixels: int) -> tuple[float, bool]:
    """Bytes per pixel, and whether the time is bounded. A decoder holds all coefficients of several scans."""
    plain = _BYTES_PER_PIXEL[SourceFormat.JPEG]
    if pixels <= 2_000_000:
        return max(plain, _SEVERAL_SCANS), True
    limit = MAX_CHEAP_SCAN_PIXELS // pixels
    scans = sum(1 for _ in islice(_START_OF_SCAN.finditer(data), limit + 1))
    if scans < 2:
        return plain, True
    is_cmyk = read_header(data).colors == 4
    return _SEVERAL_CMYK_SCANS if is_cmyk else _SEVERAL_SCANS, scans <= limit


_SEVERAL_SCANS, _SEVERAL_CMYK_SCANS = 10, 12


def _avif(data: bytes, pixels: int) -> tuple[int, float, bool]:
    """Pixels, bytes per pixel, and whether the time is bounded."""
    file = read_avif(data)
    pixels = max(pixels, file.coded_pixels)
    is_bounded = file.is_simple and pixels <= MAX_CHEAP_AVIF_PIXELS
    return pixels, _avif_bytes(data), is_bounded


def _avif_bytes(data: bytes) -> float:
    """Bytes per pixel: the samples of each bitstream (AV1 in ISOBMFF, 2.3), then twice the pixels."""
    flags = [found[1][0] for found in islice(_AV1_CONFIGURATION.finditer(data, 0, _AVIF_HEADER), MAX_CONFIGURATIONS)]
    if not flags:
        return _ANY_AVIF
    has_alpha = _ALPHA.search(data, 0, _AVIF_HEADER) is not None
    samples = max(1 if flag & 0x10 else 1 + 2 / ((1 + (flag >> 3 & 1)) * (1 + (flag >> 2 & 1))) for flag in flags)
    width = 2 if any(flag & 0x40 for flag in flags) else 1
    return (samples + has_alpha) * width + 2 * (3 + has_alpha)


def _heic(data: bytes, pixels: int) -> tuple[int, float, bool]:
    """Pixels, bytes per pixel, and whether the time is bounded.

    libheif holds whole planes of 16 bits for samples of more than 8, if chroma is not 4:2:0.
    """
    file = read_heic(data)
    is_deep = file.depth > 8
    if file.has_alpha:
        bytes_per_pixel = _DEEP_HEIC_WITH_ALPHA if is_deep else _HEIC_WITH_ALPHA
    else:
        bytes_per_pixel = _DEEP_HEIC if is_deep and file.chroma > 1 else _HEIC
    return max(pixels, file.coded_pixels), bytes_per_pixel, False


_HEIC, _DEEP_HEIC, _HEIC_WITH_ALPHA, _DEEP_HEIC_WITH_ALPHA = 9, 17, 12, 20

_AV1_CONFIGURATION = re.compile(rb"av1C\x81.(.)", re.DOTALL)
_ALPHA = re.compile(rb"urn:mpeg:(?:mpegB:cicp:systems:auxiliary:alpha|hevc:2015:auxid:1)")
_AVIF_HEADER = 64 << 10  # bytes, in which the properties of the items are
MAX_CONFIGURATIONS = 100
_ANY_AVIF = 16

_UNBOUNDED = (SourceFormat.TIFF, SourceFormat.JPEG_2000, SourceFormat.HEIC, SourceFormat.JPEG_XL)
"""Formats whose decoders may take long for a small file; they are rare enough for a process of their own."""
