"""Encoders: each turns a drawn RGB picture into the bytes of one kind of image file."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import ExifTags, Image, ImageChops, ImageDraw, ImageFilter

from imgrelay_dagster.demo.icc_profiles import convert_to, profile

Encoder = Callable[[Image.Image], bytes]

# The transformation of the stored picture. A viewer that applies the EXIF orientation then shows the picture upright.
_STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def jpeg(mode: str = "RGB", **options: Any) -> Encoder:
    """JPEG in `mode` (`RGB`, `L` or `CMYK`); `options` are passed to Pillow."""
    return lambda picture: _save(picture.convert(mode), "JPEG", **{"quality": 86, **options})


def rotated_jpeg(orientation: int) -> Encoder:
    """JPEG stored rotated or mirrored, with the EXIF orientation (1..8) that makes it upright."""

    def encode(picture: Image.Image) -> bytes:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        exif[ExifTags.Base.Make] = "imgrelay"
        stored = picture.transpose(_STORED_AS[orientation]) if orientation in _STORED_AS else picture
        return _save(stored, "JPEG", quality=86, exif=exif)

    return encode


def jpeg_in(space: str) -> Encoder:
    """JPEG in one of `icc_profiles.SPACES`, with its ICC profile embedded."""
    return lambda picture: _save(convert_to(picture, space), "JPEG", quality=90, icc_profile=profile(space))


def png(mode: str = "RGB") -> Encoder:
    """PNG in `mode` (`RGB`, `1`)."""
    return lambda picture: _save(picture.convert(mode), "PNG", compress_level=3)


def png_16_bit(picture: Image.Image) -> bytes:
    """Greyscale PNG with 16 bits per pixel."""
    return _save(picture.convert("L").convert("I").point(lambda v: v * 257).convert("I;16"), "PNG")


def palette_png(colours: int, *, transparent: bool = False) -> Encoder:
    """PNG with a palette; with `transparent`, one of its entries is transparent (tRNS chunk)."""

    def encode(picture: Image.Image) -> bytes:
        reduced = picture.quantize(colours - 1, dither=Image.Dither.NONE)
        if not transparent:
            return _save(reduced, "PNG")
        palette = reduced.getpalette() or []
        clear = len(palette) // 3
        reduced.putpalette([*palette, 255, 255, 255])
        reduced.paste(clear, mask=ImageChops.invert(rounded_mask(picture.size)).point([0] * 128 + [255] * 128))
        return _save(reduced, "PNG", transparency=clear)

    return encode


def with_alpha(file_format: str, mode: str = "RGBA", **options: Any) -> Encoder:
    """An image with an alpha channel (`RGBA` or `LA`): opaque inside, fading to transparent at the edge."""

    def encode(picture: Image.Image) -> bytes:
        base = picture.convert(mode)
        base.putalpha(rounded_mask(picture.size))
        return _save(base, file_format, **options)

    return encode


def webp(**options: Any) -> Encoder:
    """WebP; `options` are passed to Pillow."""
    return lambda picture: _save(picture, "WEBP", **{"method": 0, **options})


def avif(quality: int = 70) -> Encoder:
    """AVIF at the encoder's highest speed."""
    return lambda picture: _save(picture, "AVIF", quality=quality, speed=10, max_threads=1)


def gif(frames: int = 1) -> Encoder:
    """GIF; with several frames, animated by a ball that crosses the picture."""

    def encode(picture: Image.Image) -> bytes:
        images = [_with_ball(picture, n / frames) if frames > 1 else picture for n in range(frames)]
        first, *rest = [image.quantize(96, dither=Image.Dither.NONE) for image in images]
        animated: dict[str, Any] = {"save_all": True, "append_images": rest, "duration": 120, "loop": 0}
        return _save(first, "GIF", **(animated if rest else {}))

    return encode


def rounded_mask(size: tuple[int, int]) -> Image.Image:
    """Return a mask (mode L): 255 inside a rounded rectangle, fading to 0 at its edge."""
    mask, unit = Image.new("L", size), min(size) / 100
    box = (unit * 5, unit * 5, size[0] - unit * 5, size[1] - unit * 5)
    ImageDraw.Draw(mask).rounded_rectangle(box, unit * 18, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(unit * 1.6))


def _with_ball(picture: Image.Image, share: float) -> Image.Image:
    still = picture.copy()
    radius = min(still.size) / 12
    x, y = share * still.width + radius, still.height * (0.3 + (share * 2 - 1) ** 2 * 0.4)
    box = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(still).ellipse(box, fill="#ff5a5f", outline="white", width=max(2, round(radius / 8)))
    return still


def _save(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()
