"""What a downloaded body is and how large its picture is, from its first bytes, without decoding it."""

import io
import struct
from collections.abc import Callable
from enum import StrEnum

from PIL import AvifImagePlugin

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.outcomes import Reason


class SourceFormat(StrEnum):
    """The formats that are read. Nothing outside this list ever reaches a decoder."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    GIF = "GIF"
    AVIF = "AVIF"


def read_format(data: bytes) -> SourceFormat:
    """Tell the format by its signature, whatever the name or Content-Type said.

    Raises EntryFailure: empty_body, unsupported_format.
    """
    if not data:
        raise EntryFailure(Reason.EMPTY_BODY, "the body has 0 bytes")
    if data.startswith(b"\xff\xd8\xff"):
        return SourceFormat.JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return SourceFormat.PNG
    if data.startswith((b"GIF87a", b"GIF89a")):
        return SourceFormat.GIF
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return SourceFormat.WEBP
    if data[4:8] == b"ftyp" and _is_avif(data):
        return SourceFormat.AVIF
    raise EntryFailure(Reason.UNSUPPORTED_FORMAT, f"{_resemblance(data)}; only {', '.join(SourceFormat)} are read")


def read_size(data: bytes, source_format: SourceFormat) -> Size:
    """Width and height in pixels as the header states them, before any orientation is applied.

    Raises EntryFailure: corrupt_image when the header is cut off or makes no sense.
    """
    try:
        width, height = _SIZE_READERS[source_format](data)
    except (IndexError, struct.error) as error:
        detail = f"the {source_format} ends within its header, after {len(data)} bytes"
        raise EntryFailure(Reason.CORRUPT_IMAGE, detail) from error
    except Exception as error:
        raise EntryFailure(Reason.CORRUPT_IMAGE, f"the {source_format} header is broken: {error}") from error
    if width < 1 or height < 1:
        raise EntryFailure(Reason.CORRUPT_IMAGE, f"the {source_format} header states {width}x{height} pixels")
    return width, height


def _is_avif(data: bytes) -> bool:
    """AVIF among its relatives (HEIC, MP4): by any brand of the file type box, ISO/IEC 14496-12 4.3."""
    (length,) = struct.unpack_from(">I", data)
    brands = data[8 : min(length, 512)]
    return any(brands[at : at + 4] in (b"avif", b"avis") for at in range(0, len(brands), 4))


def _resemblance(data: bytes) -> str:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "the body looks like an HTML page"
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "the body looks like SVG"
    return f"the body begins with bytes {data[:8].hex(' ')}"


def _png_size(data: bytes) -> Size:
    if data[12:16] != b"IHDR":
        raise ValueError("the first chunk is not IHDR")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _webp_size(data: bytes) -> Size:
    """RFC 9649, sections 2.5 to 2.7. Read here because libwebp allocates the canvas as it opens the file."""
    match data[12:16]:
        case b"VP8X":
            width, _, height, _ = struct.unpack("<HBHB", data[24:30])
            return (width | data[26] << 16) + 1, (height | data[29] << 16) + 1
        case b"VP8L" if data[20] == 0x2F:
            (bits,) = struct.unpack_from("<I", data, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 " if data[23:26] == b"\x9d\x01\x2a":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError(f"no picture in the first chunk {data[12:16]!r}")


def _gif_size(data: bytes) -> Size:
    """The screen, widened by the first frame, as Pillow does: a small screen may carry a huge frame."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while data[at] != ord(","):
        if data[at] == ord(";"):
            raise ValueError("it ends before the first frame")
        if data[at] == ord("!"):
            at += 2
            while data[at]:
                at += 1 + data[at]
        at += 1
    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, at + 1)
    return max(width, left + frame_width), max(height, top + frame_height)


def _jpeg_size(data: bytes) -> Size:
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0:
            raise IndexError
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        if marker == 0xDA:
            raise ValueError("its pixels begin before their size is stated")
        if marker > 0x01 and not 0xD0 <= marker <= 0xD9:
            at += struct.unpack_from(">H", data, at)[0]


def _avif_size(data: bytes) -> Size:
    """As libavif parses it, which takes 0.01 ms and no canvas.

    It refuses to open what is beyond 16384x16384 pixels; then the size is that of the first `ispe` property
    (ISO/IEC 23008-12, 6.5.3), so that the limit on pixels is what is reported.
    """
    try:
        return AvifImagePlugin.AvifImageFile(io.BytesIO(data)).size
    except Exception:
        at = data.find(b"ispe", 0, 65536)
        if at < 0:
            raise
        width, height = struct.unpack_from(">II", data, at + 8)
        return width, height


_SIZE_READERS: dict[SourceFormat, Callable[[bytes], Size]] = {
    SourceFormat.JPEG: _jpeg_size,
    SourceFormat.PNG: _png_size,
    SourceFormat.WEBP: _webp_size,
    SourceFormat.GIF: _gif_size,
    SourceFormat.AVIF: _avif_size,
}
