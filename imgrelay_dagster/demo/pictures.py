"""The catalogue of demo pictures: every kind of image file found on the web, drawn on demand.

picture("jpeg/dawn.jpg").data      the bytes of one picture
for one in pictures(): ...         all pictures
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from imgrelay_dagster.demo.encodings import (
    Encoder,
    avif,
    gif,
    jpeg,
    jpeg_in,
    palette_png,
    png,
    png_16_bit,
    rotated_jpeg,
    webp,
    with_alpha,
)
from imgrelay_dagster.demo.patterns import PATTERNS, pattern
from imgrelay_dagster.demo.scenes import Size, label, landscape

MEDIA_TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file. `size` is (width, height) in pixels after the EXIF orientation is applied."""

    name: str
    media_type: str
    size: Size
    data: bytes


@dataclass(frozen=True, slots=True)
class _Sketch:
    scene: str
    size: Size
    encode: Encoder
    seed: int | None = None


def names() -> tuple[str, ...]:
    """Return the names of all pictures, such as `jpeg/dawn.jpg`. The part before the slash is the kind of file."""
    return tuple(_SKETCHES)


@cache
def picture(name: str) -> Picture:
    """Return one picture. The first call for a name draws and encodes it.

    Raises:
        KeyError: there is no picture of this name.
    """
    sketch = _SKETCHES[name]
    number = 1 + names().index(name)
    seed = sketch.seed or number
    draw = pattern if sketch.scene in PATTERNS else landscape
    drawn = draw(sketch.size, seed, sketch.scene)
    label(drawn, f"{number:02d}")
    media_type = MEDIA_TYPES[PurePosixPath(name).suffix]
    return Picture(name, media_type, sketch.size, sketch.encode(drawn))


def pictures() -> Iterator[Picture]:
    """Yield all pictures in the order of `names()`."""
    return (picture(name) for name in names())


_ROTATED = {
    f"jpeg-turned/orientation-{n}.jpg": _Sketch("noon", (640, 480) if n % 2 else (480, 640), rotated_jpeg(n), seed=2)
    for n in range(1, 9)
}

_SKETCHES = {
    "jpeg/dawn.jpg": _Sketch("dawn", (1200, 900), jpeg()),
    "jpeg/noon.jpg": _Sketch("noon", (1024, 768), jpeg()),
    "jpeg/sunset.jpg": _Sketch("sunset", (1600, 1200), jpeg()),
    "jpeg/night.jpg": _Sketch("night", (1200, 800), jpeg()),
    "jpeg/autumn.jpg": _Sketch("autumn", (900, 1200), jpeg()),
    "jpeg/arctic.jpg": _Sketch("arctic", (1280, 720), jpeg()),
    "jpeg/desert.jpg": _Sketch("desert", (768, 1024), jpeg()),
    "jpeg/harbour.jpg": _Sketch("harbour", (800, 600), jpeg()),
    "jpeg/rings.jpg": _Sketch("rings", (640, 640), jpeg()),
    "jpeg/arcs.jpg": _Sketch("arcs", (600, 800), jpeg()),
    "jpeg/lights.jpg": _Sketch("lights", (800, 450), jpeg()),
    "jpeg/small-dawn.jpg": _Sketch("dawn", (320, 240), jpeg()),
    "jpeg/small-waves.jpg": _Sketch("waves", (240, 320), jpeg()),
    "jpeg/tiny-sunset.jpg": _Sketch("sunset", (160, 120), jpeg()),
    "jpeg/panorama.jpg": _Sketch("sunset", (1600, 400), jpeg()),
    "jpeg/tower.jpg": _Sketch("night", (300, 1200), jpeg()),
    "jpeg-progressive/dunes.jpg": _Sketch("desert", (1024, 683), jpeg(progressive=True)),
    "jpeg-progressive/coast.jpg": _Sketch("harbour", (800, 1000), jpeg(progressive=True, subsampling=0)),
    "jpeg-progressive/hexagons.jpg": _Sketch("hexagons", (640, 480), jpeg(progressive=True)),
    "jpeg-grey/moonlight.jpg": _Sketch("night", (800, 600), jpeg("L")),
    "jpeg-grey/ridges.jpg": _Sketch("dawn", (480, 640), jpeg("L", progressive=True)),
    "jpeg-cmyk/press-sunset.jpg": _Sketch("sunset", (800, 600), jpeg("CMYK")),
    "jpeg-cmyk/press-triangles.jpg": _Sketch("triangles", (640, 480), jpeg("CMYK")),
    **_ROTATED,
    "jpeg-icc/wide-autumn.jpg": _Sketch("autumn", (800, 600), jpeg_in("adobe-like")),
    "jpeg-icc/wide-sunburst.jpg": _Sketch("sunburst", (640, 480), jpeg_in("adobe-like")),
    "jpeg-icc/p3-sunset.jpg": _Sketch("sunset", (900, 600), jpeg_in("display-p3-like")),
    "png/hexagons.png": _Sketch("hexagons", (800, 600), png()),
    "png/triangles.png": _Sketch("triangles", (1024, 768), png()),
    "png/sunburst.png": _Sketch("sunburst", (600, 900), png()),
    "png/night.png": _Sketch("night", (480, 360), png()),
    "png-alpha/island.png": _Sketch("arctic", (640, 480), with_alpha("PNG")),
    "png-alpha/rings.png": _Sketch("rings", (480, 480), with_alpha("PNG")),
    "png-alpha/waves.png": _Sketch("waves", (400, 600), with_alpha("PNG")),
    "png-palette/arcs.png": _Sketch("arcs", (800, 600), palette_png(16)),
    "png-palette/desert.png": _Sketch("desert", (640, 480), palette_png(256)),
    "png-palette/triangles.png": _Sketch("triangles", (320, 480), palette_png(64)),
    "png-palette-alpha/sunburst.png": _Sketch("sunburst", (600, 450), palette_png(16, transparent=True)),
    "png-palette-alpha/hills.png": _Sketch("autumn", (450, 600), palette_png(128, transparent=True)),
    "png-1-bit/engraving.png": _Sketch("sunset", (800, 600), png("1")),
    "png-1-bit/waves.png": _Sketch("waves", (320, 240), png("1")),
    "png-16-bit/fog.png": _Sketch("dawn", (640, 480), png_16_bit),
    "png-16-bit/dusk.png": _Sketch("harbour", (480, 640), png_16_bit),
    "png-grey-alpha/moon.png": _Sketch("night", (640, 480), with_alpha("PNG", "LA")),
    "png-grey-alpha/arcs.png": _Sketch("arcs", (480, 480), with_alpha("PNG", "LA")),
    "webp/coast.webp": _Sketch("harbour", (1280, 960), webp(quality=80)),
    "webp/noon.webp": _Sketch("noon", (800, 1067), webp(quality=75)),
    "webp/lights.webp": _Sketch("lights", (1200, 900), webp(quality=80)),
    "webp/dunes.webp": _Sketch("desert", (640, 360), webp(quality=60)),
    "webp-lossless/arcs.webp": _Sketch("arcs", (640, 480), webp(lossless=True)),
    "webp-lossless/rings.webp": _Sketch("rings", (480, 640), webp(lossless=True)),
    "webp-alpha/lagoon.webp": _Sketch("arctic", (640, 480), with_alpha("WEBP", method=0)),
    "webp-alpha/hexagons.webp": _Sketch("hexagons", (480, 480), with_alpha("WEBP", method=0)),
    "gif/rings.gif": _Sketch("rings", (480, 360), gif()),
    "gif/dawn.gif": _Sketch("dawn", (360, 480), gif()),
    "gif/arcs.gif": _Sketch("arcs", (320, 240), gif()),
    "gif-animated/hills.gif": _Sketch("noon", (320, 240), gif(8)),
    "gif-animated/waves.gif": _Sketch("waves", (240, 240), gif(6)),
    "avif/fjord.avif": _Sketch("harbour", (960, 720), avif()),
    "avif/night.avif": _Sketch("night", (640, 480), avif()),
    "avif/autumn.avif": _Sketch("autumn", (600, 800), avif()),
    "avif-alpha/ice.avif": _Sketch("arctic", (480, 360), with_alpha("AVIF", speed=10, max_threads=1)),
}
