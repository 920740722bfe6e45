"""Decode AVIF. Its orientation comes from the container alone, its colours from a profile or from code points."""

import io

from PIL import AvifImagePlugin

from imgrelay_dagster.relay.imaging.formats import exif, heif_boxes
from imgrelay_dagster.relay.imaging.formats.picture import CodePoints, Picture
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.imaging.profiles import PRIMARIES, TRANSFERS

_SHOWN_AS_SRGB = {1, 6, 11, 12, 14, 15}
"""Transfer characteristics of video. In AVIF, unlike in PNG, browsers take them for sRGB."""


def decode(data: bytes, size: Size) -> Picture:
    """Decode an AVIF of this size; of a sequence, its first frame.

    Raises ValueError, OSError or RuntimeError when it is broken.
    """
    image = AvifImagePlugin.AvifImageFile(io.BytesIO(data))
    if image.size != size:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    image.load()
    colors = image.info.get("icc_profile") or shown(heif_boxes.code_points(data))
    # Pillow has translated the container's rotation and mirroring into the EXIF orientation.
    metadata = exif.without_prefix(image.info.get("exif"))
    return Picture(image, size, colors, exif.orientation(metadata), frames=image.n_frames, exif=metadata)


def shown(code: CodePoints | None) -> CodePoints | None:
    """Return what browsers show in AVIF for the code points: sRGB in place of what is unspecified or unknown."""
    if code is None:
        return None
    primaries = code.primaries if code.primaries in PRIMARIES else 1
    transfer = code.transfer if code.transfer in TRANSFERS - _SHOWN_AS_SRGB else 13
    return CodePoints(primaries, transfer)
