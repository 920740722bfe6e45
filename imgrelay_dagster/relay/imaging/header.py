"""Detect the format and the size of an image from its first bytes, without decoding it."""

import struct
from collections.abc import Callable
from enum import StrEnum

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.avif import read_avif
from imgrelay_dagster.relay.imaging.formats.gif_blocks import first_frame
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.outcomes import Reason


class SourceFormat(StrEnum):
    """The supported input formats. A file of any other format never reaches a decoder."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    GIF = "GIF"
    AVIF = "AVIF"


def read_format(data: bytes) -> SourceFormat:
    """Detect the format by its signature; the file name and Content-Type are ignored.

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
    raise EntryFailure(
        Reason.UNSUPPORTED_FORMAT, f"{_describe_body(data)}; supported formats are {', '.join(SourceFormat)}"
    )


def read_size(data: bytes, source_format: SourceFormat) -> Size:
    """Read width and height in pixels from the header; the EXIF orientation is not applied.

    Raises EntryFailure: corrupt_image when the header is truncated or invalid.
    """
    try:
        width, height = _SIZE_READERS[source_format](data)
    except EntryFailure:
        raise
    except (IndexError, struct.error) as error:
        detail = f"the {source_format} ends within its header, after {len(data)} bytes"
        raise EntryFailure(Reason.CORRUPT_IMAGE, detail) from error
    except Exception as error:
        raise EntryFailure(Reason.CORRUPT_IMAGE, f"the {source_format} header is broken: {error}") from error
    if width < 1 or height < 1:
        raise EntryFailure(Reason.CORRUPT_IMAGE, f"the {source_format} header states {width}x{height} pixels")
    return width, height


def _is_avif(data: bytes) -> bool:
    """Whether any brand in the file type box is AVIF's, and not HEIC or MP4 (ISO/IEC 14496-12, 4.3)."""
    (length,) = struct.unpack_from(">I", data)
    brands = data[8 : min(length, 512)]
    return any(brands[start : start + 4] in (b"avif", b"avis") for start in range(0, len(brands), 4))


def _describe_body(data: bytes) -> str:
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
    """Parse the header (RFC 9649, sections 2.5 to 2.7). libwebp is not used: it allocates the canvas to open a file."""
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
    raise ValueError(f"the first chunk {data[12:16]!r} holds no image")


def _gif_size(data: bytes) -> Size:
    """Return the size of the screen, enlarged to hold the first frame, as Pillow does: the frame may be far larger."""
    width, height = struct.unpack_from("<HH", data, 6)
    _, _, right, bottom = first_frame(data)
    return max(width, right), max(height, bottom)


def _jpeg_size(data: bytes) -> Size:
    offset = 2
    while True:
        offset = data.find(b"\xff", offset)
        if offset < 0:
            raise IndexError
        while data[offset] == 0xFF:
            offset += 1
        marker = data[offset]
        offset += 1
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, offset + 3)
            return width, height
        if marker == 0xDA:
            raise ValueError("its pixels begin before their size is stated")
        if marker > 0x01 and not 0xD0 <= marker <= 0xD9:
            offset += struct.unpack_from(">H", data, offset)[0]


def _avif_size(data: bytes) -> Size:
    """Return the size that the container states (ISO/IEC 23008-12, 6.5.3). libavif is not used: it may take minutes."""
    size = read_avif(data).size
    if size is None:
        raise ValueError("it states no size")
    return size


_SIZE_READERS: dict[SourceFormat, Callable[[bytes], Size]] = {
    SourceFormat.JPEG: _jpeg_size,
    SourceFormat.PNG: _png_size,
    SourceFormat.WEBP: _webp_size,
    SourceFormat.GIF: _gif_size,
    SourceFormat.AVIF: _avif_size,
}
