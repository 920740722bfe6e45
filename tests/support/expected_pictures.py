"""An independent computation of what the shipped template over a demo picture should look like.

It shares nothing with the engine: floats, source-over written out, colours read through Pillow's plain conversions.
"""

import io
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageCms, ImageOps, ImageStat

SRGB = ImageCms.createProfile("sRGB")


def upright_rgb(data: bytes) -> Image.Image:
    """The picture as a person should see it, transparent parts on white."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        profile = image.info.get("icc_profile")
        shown = ImageOps.exif_transpose(image)
        if shown.mode.startswith("I"):
            pixels = [value / 257 for value in shown.get_flattened_data()]
            shown = Image.new("L", shown.size)
            shown.putdata(pixels)
        if profile and shown.mode in ("RGB", "CMYK", "L"):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(shown, source, SRGB, outputMode="RGB")
        if "A" in shown.mode or "transparency" in shown.info:
            shown = shown.convert("RGBA")
            white = Image.new("RGBA", shown.size, "white")
            return Image.alpha_composite(white, shown).convert("RGB")
        return shown.convert("RGB")


def framed(source: bytes, template: bytes) -> Image.Image:
    """The template stretched over the upright picture."""
    base = upright_rgb(source)
    with Image.open(io.BytesIO(template)) as frame:
        layer = frame.convert("RGBA").resize(base.size, Image.Resampling.LANCZOS)
    return Image.alpha_composite(base.convert("RGBA"), layer).convert("RGB")


@dataclass(frozen=True)
class Difference:
    """How far two pictures of one size are apart, 0 to 255: on average, and where half of the pixels lie below."""

    mean: float
    median: int


def difference(stored: Image.Image, wanted: Image.Image) -> Difference:
    """Compare two RGB pictures of the same size."""
    apart = ImageChops.difference(stored.convert("RGB"), wanted).convert("L")
    stat = ImageStat.Stat(apart)
    return Difference(stat.mean[0], stat.median[0])
