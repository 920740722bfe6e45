"""Detect the format and the size of an image from its first bytes, without decoding it."""

import struct
from collections.abc import Callable

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.avif import read_avif
from imgrelay_dagster.relay.imaging.formats import bmp, heif, ico, jpeg2000, jxl, tiff
from imgrelay_dagster.relay.imaging.formats.bodies import describe_body
from imgrelay_dagster.relay.imaging.formats.gif_blocks import first_frame
from imgrelay_dagster.relay.imaging.formats.signatures import SourceFormat, recognise
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.outcomes import Reason


def read_format(data: bytes) -> SourceFormat:
    """Detect the format by its signature; the file name and Content-Type are ignored.

    Raises EntryFailure: empty_body, unsupported_format.
    """
    if not data:
        raise EntryFailure(Reason.EMPTY_BODY, "the body has 0 bytes")
    source_format = recognise(data)
    if source_format is None:
        detail = f"{describe_body(data)}; supported formats are {', '.join(SourceFormat)}"
        raise EntryFailure(Reason.UNSUPPORTED_FORMAT, detail)
    extra = _EXTRAS.get(source_format)
    if extra is not None and not extra.is_installed():
        detail = f"the body is a {source_format} picture; install imgrelay-dagster[{extra.EXTRA}]"
        raise EntryFailure(Reason.UNSUPPORTED_FORMAT, detail)
    return source_format


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
    SourceFormat.BMP: bmp.read_size,
    SourceFormat.TIFF: tiff.read_size,
    SourceFormat.ICO: ico.read_size,
    SourceFormat.JPEG_2000: jpeg2000.read_size,
    SourceFormat.HEIC: heif.read_size,
    SourceFormat.JPEG_XL: jxl.read_size,
}

_EXTRAS = {SourceFormat.HEIC: heif, SourceFormat.JPEG_XL: jxl}
"""The formats whose decoder may be missing."""
