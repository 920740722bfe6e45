"""Pictures look as in a browser: generated files, compared with the canvas of a headless Chromium."""

import base64
from collections.abc import Iterator

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page

from imgrelay_dagster.relay.imaging.decode import open_source
from tests.support import picture_files as files
from tests.support.browser import chromium, watched
from tests.support.damaged_pictures import exif_orientation, two_colors

PICTURE = two_colors((64, 48))
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
WIDE = files.rgb_profile(P3, gamma=2.2)
EXIF = b"Exif\0\0" + exif_orientation(6)
ALPHA = files.noise((64, 48), mode="RGBA")
GRAY_ROWS = b"".join(b"\0" + bytes(range(0, 256, 4)) for _ in range(8))

FILES = {
    **{f"{name} turned": files.encoded(PICTURE, name, exif=EXIF) for name in ("JPEG", "PNG", "AVIF")},
    **{f"{name} wide": files.encoded(PICTURE, name, icc_profile=WIDE) for name in ("JPEG", "PNG", "WEBP", "AVIF")},
    "PNG alpha": files.encoded(ALPHA, "PNG"),
    "WebP alpha": files.encoded(ALPHA, "WEBP", lossless=True),
    "JPEG gray with an RGB profile": files.encoded(PICTURE.convert("L"), "JPEG", icc_profile=WIDE),
    "JPEG progressive": files.encoded(PICTURE, "JPEG", progressive=True, quality=95),
    "PNG palette": files.encoded(PICTURE.quantize(8), "PNG", transparency=1),
    "PNG linear": files.png((64, 8), 8, 0, GRAY_ROWS, (b"gAMA", (100_000).to_bytes(4, "big"))),
    "PNG cICP": files.png((64, 8), 8, 0, GRAY_ROWS, (b"cICP", bytes((12, 13, 0, 1)))),
    "GIF animated": files.encoded(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]),
    "BMP": files.encoded(PICTURE, "BMP"),
    "ICO": files.encoded(ALPHA.resize((32, 32)), "ICO", sizes=[(32, 32)]),
}
DRAW = """async (uri) => {
    const image = new Image();
    image.src = uri;
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const context = canvas.getContext("2d", {colorSpace: "srgb", willReadFrequently: true});
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    return [canvas.width, canvas.height, btoa(Array.from(pixels, (byte) => String.fromCharCode(byte)).join(""))];
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        assert isinstance(browser, Browser)
        with watched(browser) as seen:
            yield seen.page


def shown(page: Page, data: bytes) -> Image.Image:
    """What the browser draws for a file."""
    uri = f"data:image/*;base64,{base64.b64encode(data).decode()}"
    width, height, pixels = page.evaluate(DRAW, uri)
    return Image.frombytes("RGBA", (width, height), base64.b64decode(pixels))


def on_white(image: Image.Image) -> Image.Image:
    """An image on white: a canvas stores transparent colours less exactly."""
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


@pytest.mark.browser
@pytest.mark.parametrize("name", FILES)
def test_picture_looks_as_in_chromium(page: Page, name: str) -> None:
    ours, theirs = on_white(open_source(FILES[name], 10**6)), on_white(shown(page, FILES[name]))
    assert ours.size == theirs.size
    difference = ImageChops.difference(ours, theirs)
    assert max(difference.tobytes()) <= 6, difference.getextrema()
