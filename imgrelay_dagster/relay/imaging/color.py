"""From whatever a file holds to 8-bit sRGB: sample depths, palettes, transparent colours, profiles, CMYK."""

import hashlib
import io
from functools import cache
from typing import Any

from PIL import Image, ImageChops, ImageCms

from imgrelay_dagster.relay.imaging.bounded_cache import BoundedCache

PROFILES_KEPT = 16
"""A transform built for a CMYK profile may weigh over a megabyte."""

_SRGB = ImageCms.createProfile("sRGB")
_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}
_transforms: BoundedCache[tuple[bytes, str], ImageCms.ImageCmsTransform | None] = BoundedCache(PROFILES_KEPT)


def to_eight_bits(image: Image.Image, png_depth: int | None = None) -> Image.Image:
    """The same picture in mode L, LA, RGB, RGBA or CMYK, with a transparent colour turned into alpha.

    `png_depth` is the bits a sample of a PNG had in the file: 1, 2, 4, 8 or 16.
    """
    key = image.info.get("transparency")
    match image.mode:
        case "L" | "RGB" if key is not None:
            image.info["transparency"] = _key_at_eight_bits(key, image.mode, png_depth)
            return image.convert(image.mode + "A" if image.mode == "RGB" else "LA")
        case "L" | "LA" | "RGB" | "RGBA" | "CMYK":
            return image
        case "1":
            return image.convert("L" if key is None else "LA")
        case "I;16" | "I;16B" | "I;16L" | "I;16N" | "I":
            return _sixteen_to_eight_bits(image, key)
        case "P":
            return image.convert("RGB" if key is None else "RGBA")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB or RGBA in sRGB, from an image as `to_eight_bits` gives it. It may be changed in place.

    A profile that is broken or made for another kind of image is ignored, as browsers do.
    """
    if image.mode == "LA":
        gray, alpha = image.split()
        colored = to_srgb(gray, profile)
        colored.putalpha(alpha)
        return colored
    transform = transform_to_srgb(profile, image.mode) if profile else None
    if transform is None:
        return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")
    return transform.apply(image, image if image.mode == transform.output_mode else None)


def transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """How to bring pixels of `mode` from `profile` to sRGB; None where nothing is to be done or known."""
    key = (hashlib.sha256(profile).digest(), mode)
    return _transforms.get(key, lambda: _build_transform(profile, mode))


def _build_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _PROFILE_SPACES[mode]:
            return None
        output_mode = "RGBA" if mode == "RGBA" else "RGB"
        transform = ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(_SRGB), mode, output_mode)
    except (OSError, ValueError, TypeError):
        return None
    return None if mode != "CMYK" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile is sRGB under any name: no colour of a sample moves by more than 1 of 255."""
    if transform.input_mode == "L":
        sample = Image.frombytes("L", (256, 1), bytes(range(256)))
    else:
        levels = (0, 16, 32, 64, 96, 128, 160, 192, 224, 255)
        colors = bytes(level for r in levels for g in levels for b in levels for level in (r, g, b))
        sample = Image.frombytes("RGB", (len(colors) // 3, 1), colors).convert(transform.input_mode)
    expected = sample.convert("RGB")
    moved = ImageChops.difference(transform.apply(sample).convert("RGB"), expected)
    return max(moved.tobytes()) <= 1


@cache
def _eight_bits_of_sixteen() -> list[int]:
    return [round(value / 257) for value in range(65536)]


def _sixteen_to_eight_bits(image: Image.Image, key: int | None) -> Image.Image:
    """Pillow's own conversion to L clips at 255 where a picture of 16 bits has to be scaled."""
    wide = image.convert("I")
    gray = wide.point(_eight_bits_of_sixteen(), "L")
    if key is None:
        return gray
    opaque = [255] * 65536
    opaque[key] = 0
    return Image.merge("LA", (gray, wide.point(opaque, "L")))


def _key_at_eight_bits(key: Any, mode: str, png_depth: int | None) -> Any:
    """The transparent colour at the depth Pillow scaled the samples to.

    A PNG states it at the file's depth (PNG 3rd edition, 11.3.1.1) and Pillow hands it over as it is: 3 for
    the white of 2-bit grey, which has become 255. RGB of 16 bits has lost its low bytes, so only the high
    ones count.
    """
    depth = png_depth or 8
    if mode == "RGB":
        return tuple(_sample_at_eight_bits(sample, depth) for sample in key)
    return _sample_at_eight_bits(key, depth)


def _sample_at_eight_bits(sample: int, depth: int) -> int:
    if depth == 16:
        return sample >> 8
    highest = (1 << depth) - 1
    return (sample & highest) * 255 // highest
