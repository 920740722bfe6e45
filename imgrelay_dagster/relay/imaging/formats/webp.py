"""Decode WebP; of an animation, the first frame on a transparent canvas."""

import io
import struct
from collections.abc import Iterator

from PIL import WebPImagePlugin

from imgrelay_dagster.relay.imaging.formats import exif
from imgrelay_dagster.relay.imaging.formats.picture import Picture
from imgrelay_dagster.relay.imaging.formats.webp_large import decode_large
from imgrelay_dagster.relay.imaging.layout import Size

_ALPHA, _ANIMATION = 0x10, 0x02
MAX_CHUNKS = 100_000
"""Chunks that are read to count frames."""


def decode(data: bytes, size: Size) -> Picture:
    """Decode a WebP of this size.

    Raises ValueError or OSError when it is broken.
    """
    frames = 1
    if data[12:16] == b"VP8X" and data[20] & _ANIMATION:
        sizes = list(_frame_sizes(data))
        frames = max(1, len(sizes))
        if sizes and sizes[0] != size and not data[20] & _ALPHA:
            # Without the flag Pillow shows black outside the frame.
            data = data[:20] + bytes([data[20] | _ALPHA]) + data[21:]
    if large := decode_large(data, size):
        metadata = exif.without_prefix(large.exif)
        return Picture(large.image, size, large.profile, exif.orientation(metadata), frames=frames, exif=metadata)
    image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    if image.size != size:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    image.load()
    metadata = exif.without_prefix(image.info.get("exif"))
    orientation = exif.orientation(metadata)
    return Picture(image, size, image.info.get("icc_profile"), orientation, frames=frames, exif=metadata)


def _frame_sizes(data: bytes) -> Iterator[Size]:
    """Yield the sizes of the frames of an animation (RFC 9649, 2.7.1.1)."""
    offset, end = 12, len(data) - 24
    for _ in range(MAX_CHUNKS):
        if offset > end:
            return
        kind, length = struct.unpack_from("<4sI", data, offset)
        if kind == b"ANMF":
            width, height = (int.from_bytes(data[at : at + 3], "little") for at in (offset + 14, offset + 17))
            yield width + 1, height + 1
        offset += 8 + length + (length & 1)
