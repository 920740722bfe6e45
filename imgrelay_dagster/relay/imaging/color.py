"""Colour conversion to 8-bit sRGB: sample depths, palettes, transparent colours, ICC profiles, code points, CMYK."""

import hashlib
import io
from functools import cache
from typing import Any

from PIL import Image, ImageChops, ImageCms

from imgrelay_dagster.relay.imaging.bounded_cache import BoundedCache
from imgrelay_dagster.relay.imaging.formats.picture import CodePoints, Colors
from imgrelay_dagster.relay.imaging.hdr import tone_mapped
from imgrelay_dagster.relay.imaging.profiles import code_point_profile, is_hdr

MAX_TRANSFORMS = 16
"""Colour transforms kept in memory. One built from a CMYK profile may take over a megabyte."""

_BAND_PIXELS = 1 << 20  # of 16-bit grey that are scaled at once; each time, Pillow copies a table of 65,536 numbers

_SRGB = ImageCms.createProfile("sRGB")
_PROFILE_COLOR_SPACES = {"L": "GRAY", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}
_FROM_SRGB = "from sRGB"
_transform_cache: BoundedCache[tuple[bytes, str], ImageCms.ImageCmsTransform | None] = BoundedCache(MAX_TRANSFORMS)


def to_eight_bits(image: Image.Image, png_depth: int | None = None) -> Image.Image:
    """Convert an image to mode L, LA, RGB, RGBA or CMYK; a transparent colour becomes alpha.

    `png_depth` is the number of bits per sample in a PNG file: 1, 2, 4, 8 or 16.
    """
    transparent = image.info.get("transparency")
    match image.mode:
        case "L" | "RGB" if transparent is not None:
            image.info["transparency"] = _transparent_color_at_eight_bits(transparent, image.mode, png_depth)
            return image.convert(image.mode + "A" if image.mode == "RGB" else "LA")
        case "L" | "LA" | "RGB" | "RGBA" | "CMYK":
            return image
        case "1":
            return image.convert("L" if transparent is None else "LA")
        case "I;16" | "I;16B" | "I;16L" | "I;16N" | "I":
            return _sixteen_to_eight_bits(image, transparent)
        case "P":
            return image.convert("RGB" if transparent is None else "RGBA")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def to_srgb(image: Image.Image, colors: Colors) -> Image.Image:
    """Convert an image that `to_eight_bits` returned to RGB or RGBA in sRGB. May change `image` in place.

    An ICC profile that is broken or belongs to another colour space is ignored, as browsers do. A gray image may have
    an RGB profile.
    """
    if image.mode == "LA":
        gray, alpha = image.split()
        colored = to_srgb(gray, colors)
        colored.putalpha(alpha)
        return colored
    if isinstance(colors, CodePoints):
        if is_hdr(colors):
            return tone_mapped(image if image.mode == "RGBA" else image.convert("RGB"), colors)
        colors = code_point_profile(colors)
    if not colors:
        return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")
    transform = transform_to_srgb(colors, image.mode)
    if transform is None and image.mode == "L":
        image = image.convert("RGB")
        transform = transform_to_srgb(colors, "RGB")
    if transform is None:
        return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")
    return transform.apply(image, image if image.mode == transform.output_mode else None)


def rgb_profile(colors: Colors, mode: str) -> bytes | None:
    """The ICC profile in which an image of this mode may stay: one of RGB, to which sRGB can be converted as well."""
    if isinstance(colors, CodePoints):
        colors = None if is_hdr(colors) else code_point_profile(colors)
    if not colors or mode not in ("L", "LA", "RGB", "RGBA") or transform_from_srgb(colors) is None:
        return None
    return colors


def transform_from_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Return the transform of RGBA from sRGB to `profile`; None when the profile cannot be used for that."""
    key = (hashlib.sha256(profile).digest(), _FROM_SRGB)
    return _transform_cache.get_or_create(key, lambda: _build_transform_from_srgb(profile))


def _build_transform_from_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if target.profile.xcolor_space.strip() != "RGB":
            return None
        return ImageCms.ImageCmsTransform(ImageCms.ImageCmsProfile(_SRGB), target, "RGBA", "RGBA")
    except (OSError, ValueError, TypeError):
        return None


def transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from `profile` to sRGB for pixels of `mode`.

    None when the profile cannot be used, or is sRGB itself so that no conversion is needed.
    """
    key = (hashlib.sha256(profile).digest(), mode)
    return _transform_cache.get_or_create(key, lambda: _build_transform(profile, mode))


def _build_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _PROFILE_COLOR_SPACES[mode]:
            return None
        output_mode = "RGBA" if mode == "RGBA" else "RGB"
        transform = ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(_SRGB), mode, output_mode)
    except (OSError, ValueError, TypeError):
        return None
    return None if mode != "CMYK" and _is_identity(transform) else transform


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether the transform changes no sampled colour by more than 1 of 255: the profile is sRGB under any name."""
    if transform.input_mode == "L":
        sample = Image.frombytes("L", (256, 1), bytes(range(256)))
    else:
        levels = (0, 16, 32, 64, 96, 128, 160, 192, 224, 255)
        colors = bytes(level for r in levels for g in levels for b in levels for level in (r, g, b))
        sample = Image.frombytes("RGB", (len(colors) // 3, 1), colors).convert(transform.input_mode)
    expected = sample.convert("RGB")
    difference = ImageChops.difference(transform.apply(sample).convert("RGB"), expected)
    return max(difference.tobytes()) <= 1


@cache
def _sixteen_bit_table() -> list[int]:
    return [round(value / 257) for value in range(65536)]


def _sixteen_to_eight_bits(image: Image.Image, transparent: int | None) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion to L would clip at 255. In bands: mode I takes 4 bytes."""
    alpha = [255] * 65536
    if transparent is not None:
        alpha[transparent] = 0
    scaled = Image.new("L" if transparent is None else "LA", image.size)
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        wide = image.crop(box).convert("I")
        gray = wide.point(_sixteen_bit_table(), "L")
        scaled.paste(gray if transparent is None else Image.merge("LA", (gray, wide.point(alpha, "L"))), box)
    return scaled


def _transparent_color_at_eight_bits(color: Any, mode: str, png_depth: int | None) -> Any:
    """Scale a transparent colour to 8 bits, as Pillow has scaled the samples.

    A PNG states the colour at the file's depth (PNG 3rd edition, 11.3.1.1) and Pillow passes it on unchanged: 3
    for the white of 2-bit grey, which Pillow has scaled to 255. Pillow drops the low bytes of 16-bit RGB, so only
    the high bytes are compared.
    """
    depth = png_depth or 8
    if mode == "RGB":
        return tuple(_sample_at_eight_bits(sample, depth) for sample in color)
    return _sample_at_eight_bits(color, depth)


def _sample_at_eight_bits(sample: int, depth: int) -> int:
    if depth == 16:
        return sample >> 8
    highest = (1 << depth) - 1
    return (sample & highest) * 255 // highest
