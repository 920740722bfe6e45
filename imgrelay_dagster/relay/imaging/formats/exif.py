"""The orientation and the rights in EXIF data (CIPA DC-008), read without a library: browsers ignore XMP here."""

import struct

_ORIENTATION = 0x0112
_SHORT = 3
MAX_FIELDS = 1_000
"""Fields of the first directory that are read; cameras write about twenty."""


def orientation(exif: bytes | None) -> int:
    """Return the orientation in a TIFF structure, 1 to 8; 1 when it is absent, broken or of another type.

    As in browsers, it counts only as one SHORT.
    """
    if exif is None:
        return 1
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(order + "I", exif, 4)
        (fields,) = struct.unpack_from(order + "H", exif, offset)
        for number in range(min(fields, MAX_FIELDS)):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", exif, offset + 2 + 12 * number)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def without_prefix(exif: bytes | None) -> bytes | None:
    """Return the TIFF structure without the `Exif` identifier that JPEG and some writers put before it."""
    return exif.removeprefix(b"Exif\0\0") if exif is not None else None
