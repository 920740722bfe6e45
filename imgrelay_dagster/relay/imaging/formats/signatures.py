"""Recognise the format of a picture by its first bytes. The file name and the Content-Type are ignored."""

import struct
from enum import StrEnum


class SourceFormat(StrEnum):
    """The supported input formats. A file of any other format never reaches a decoder."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    GIF = "GIF"
    AVIF = "AVIF"
    BMP = "BMP"
    TIFF = "TIFF"
    ICO = "ICO"
    JPEG_2000 = "JPEG 2000"
    HEIC = "HEIC"
    JPEG_XL = "JPEG XL"


_PREFIXES = (
    (b"\xff\xd8\xff", SourceFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", SourceFormat.PNG),
    (b"GIF87a", SourceFormat.GIF),
    (b"GIF89a", SourceFormat.GIF),
    (b"II*\0", SourceFormat.TIFF),
    (b"MM\0*", SourceFormat.TIFF),
    (b"II+\0\x08\0\0\0", SourceFormat.TIFF),  # BigTIFF, of which Pillow reads this byte order only
    (b"\0\0\x01\0", SourceFormat.ICO),
    (b"\0\0\0\x0cjP  \r\n\x87\n", SourceFormat.JPEG_2000),
    (b"\xff\x4f\xff\x51", SourceFormat.JPEG_2000),
    (b"\0\0\0\x0cJXL \r\n\x87\n", SourceFormat.JPEG_XL),
    (b"\xff\x0a", SourceFormat.JPEG_XL),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}


def recognise(data: bytes) -> SourceFormat | None:
    """Return the format of a picture; None for anything else."""
    for prefix, source_format in _PREFIXES:
        if data.startswith(prefix):
            return source_format
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return SourceFormat.WEBP
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    if data.startswith(b"BM") and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADERS:
        return SourceFormat.BMP
    return None


def _by_brand(data: bytes) -> SourceFormat | None:
    """Read the brands in the file type box (ISO/IEC 14496-12, 4.3), which AVIF, HEIC and MP4 have in common."""
    (length,) = struct.unpack_from(">I", data)
    text = data[8 : min(length, 512)]
    brands = {text[start : start + 4] for start in range(0, len(text), 4)}
    if brands & _AVIF_BRANDS:
        return SourceFormat.AVIF
    return SourceFormat.HEIC if brands & _HEIC_BRANDS else None
