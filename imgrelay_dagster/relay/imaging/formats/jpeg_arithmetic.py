"""Tell an arithmetic-coded JPEG without end marker whose last scan ends early.

Behind the end of a scan its decoder reads zeros without a warning: an encoder drops those at the end (ITU-T T.81,
D.1.8). How many it reads is told by libjpeg, which counts the bytes that are left when all pixels are decoded. Flat
pictures have many zeros at the end, so a scan with an end marker counts as complete.
"""

import re

from imgrelay_dagster.relay.imaging.formats.jpeg_segments import end_of_image

ARITHMETIC = frozenset({0xC9, 0xCA})

_ZEROS = 64
_READ_AT_MOST = 4
"""Zeros that the decoder reads of a complete scan: 1 to 3 of its own, and those that the encoder dropped."""

_BAD_CODE = "bad arithmetic code"
_BYTES_LEFT = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")


def check_last_scan(data: bytes, colorspace: str) -> None:
    """Raise ValueError when pixels are missing. Takes the time to decode at an eighth of the size."""
    if end_of_image(data) < len(data):
        return
    from simplejpeg import decode_jpeg  # noqa: PLC0415 - imports NumPy, which only a process that decodes needs

    padded = b"".join((data, bytes(_ZEROS), b"\xff\xd9"))
    try:
        decode_jpeg(padded, colorspace, min_width=1, min_height=1, min_factor=8, strict=True)
    except ValueError as error:
        left = _BYTES_LEFT.match(str(error))
        if left and int(left[1]) >= _ZEROS - _READ_AT_MOST:
            return
        if not left and _BAD_CODE not in str(error):
            return  # another fault, which decoding tells
    raise ValueError("its scan data end before all pixels")
