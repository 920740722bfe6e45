"""The orientation and the rights in EXIF data (CIPA DC-008), read without a library: browsers ignore XMP here."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

_ORIENTATION, _ARTIST, _COPYRIGHT = 0x0112, 0x013B, 0x8298
_ASCII, _SHORT = 2, 3
MAX_TEXT = 4_000
"""Bytes of a text that are kept."""

MAX_FIELDS = 1_000
"""Fields of the first directory that are read; cameras write about twenty."""


def orientation(exif: bytes | None) -> int:
    """Return the orientation in a TIFF structure, 1 to 8; 1 when it is absent, broken or of another type.

    As in browsers, it counts only as one SHORT.
    """
    for tag, kind, count, at, order in _fields(exif):
        if tag == _ORIENTATION:
            (value,) = struct.unpack_from(order + "H", exif or b"", at)
            return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else 1
    return 1


@dataclass(frozen=True, slots=True)
class Rights:
    """Who made a picture and who has its copyright, as EXIF holds them: ASCII by the standard, often UTF-8."""

    artist: bytes = b""
    copyright: bytes = b""

    def exif(self) -> bytes:
        """EXIF data with nothing else, with its identifier; empty without rights."""
        texts = [(tag, text + b"\0") for tag, text in ((_ARTIST, self.artist), (_COPYRIGHT, self.copyright)) if text]
        if not texts:
            return b""
        fields, bodies, start = b"", b"", 8 + 2 + 12 * len(texts) + 4
        for tag, text in texts:
            at = struct.pack(">I", start + len(bodies)) if len(text) > 4 else text.ljust(4, b"\0")
            fields += struct.pack(">HHI", tag, _ASCII, len(text)) + at
            bodies += text + bytes(len(text) % 2) if len(text) > 4 else b""
        return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(texts)) + fields + bytes(4) + bodies


def rights(exif: bytes | None) -> Rights:
    """Return the rights in a TIFF structure; empty texts where they are absent or broken."""
    found: dict[int, bytes] = {}
    for tag, kind, count, at, order in _fields(exif):
        if tag in (_ARTIST, _COPYRIGHT) and kind == _ASCII and exif is not None:
            start = struct.unpack_from(order + "I", exif, at)[0] if count > 4 else at
            found.setdefault(tag, exif[start : start + min(count, MAX_TEXT)].rstrip(b"\0 "))
    return Rights(found.get(_ARTIST, b""), found.get(_COPYRIGHT, b""))


def _fields(exif: bytes | None) -> Iterator[tuple[int, int, int, int, str]]:
    """Yield tag, type, count, the offset of the value and the byte order of each field in the first directory."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get((exif or b"")[:4])
    if exif is None or order is None:
        return
    with suppress(struct.error):
        (offset,) = struct.unpack_from(order + "I", exif, 4)
        (fields,) = struct.unpack_from(order + "H", exif, offset)
        for number in range(min(fields, MAX_FIELDS)):
            at = offset + 2 + 12 * number
            tag, kind, count, _ = struct.unpack_from(order + "HHII", exif, at)
            yield tag, kind, count, at + 8, order


def without_prefix(exif: bytes | None) -> bytes | None:
    """Return the TIFF structure without the `Exif` identifier that JPEG and some writers put before it."""
    return exif.removeprefix(b"Exif\0\0") if exif is not None else None
