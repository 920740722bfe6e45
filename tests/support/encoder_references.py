"""How the files of encoders should look, and how other programs show them.

`python -m tests.support.encoder_references` stores the colours of all files again: as Chromium shows them where the
table of docs/formats.md says that it shows the same as imgrelay, else as libvips does, else as imgrelay itself.
"""

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageChops
from playwright.sync_api import Page

from imgrelay_dagster.relay.imaging.decode import open_source
from tests.conftest import ROOT
from tests.support.browser import chromium, watched
from tests.support.encoder_files import MODULES, SHARP, make_all, table

STORED = ROOT / "tests" / "support" / "encoder_references.json"
LIMIT = 10**6
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


def in_chromium(page: Page, data: bytes) -> Image.Image | None:
    """What Chromium draws for a file; None if it refuses the file."""
    uri = f"data:image/*;base64,{base64.b64encode(data).decode()}"
    return _image(page.evaluate(f"async (uri) => await ({DRAW})(uri).catch(() => null)", uri))


def by_libvips(folder: Path, names: Iterable[str]) -> dict[str, Image.Image | None]:
    """What libvips, as sharp has it, makes of files in a folder; None for those that it refuses."""
    environment = {**os.environ, "NODE_PATH": str(MODULES)}
    command = ["node", str(SHARP), *names, "raw"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120, check=True)
    return {name: _image(shown) for name, shown in json.loads(done.stdout).items()}


def _image(shown: list[object] | None) -> Image.Image | None:
    if shown is None:
        return None
    width, height, pixels = shown
    return Image.frombytes("RGBA", (width, height), base64.b64decode(pixels))


def on_white(image: Image.Image) -> Image.Image:
    """An image on white: a canvas stores transparent colours less exactly."""
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def difference(left: Image.Image, right: Image.Image) -> str:
    """How two pictures differ, in words; empty if they look the same."""
    if left.size != right.size:
        return f"size {left.size} and {right.size}"
    levels = sorted(ImageChops.difference(on_white(left), on_white(right)).tobytes())
    mean, most = sum(levels) / len(levels), levels[int(len(levels) * 0.99)]
    alphas = [image.convert("RGBA").getchannel("A") for image in (left, right)]
    alpha = ImageChops.difference(*alphas).getextrema()[1]
    same = mean <= 1.2 and most <= 8 and alpha <= 3
    return "" if same else f"mean {mean:.2f}, 99 % at most {most}, alpha at most {alpha}"


def colors(image: Image.Image) -> list[str]:
    """The size, and the mean colour on white and the mean alpha in the middle of each quadrant, in hex digits."""
    found = [f"{image.width}x{image.height}"]
    for number in range(4):
        x = image.width * (1 + 2 * (number % 2)) // 4
        y = image.height * (1 + 2 * (number // 2)) // 4
        box = (x - 2, y - 2, x + 3, y + 3)
        parts = on_white(image), image.convert("RGBA").getchannel("A")
        found.append(b"".join(part.crop(box).resize((1, 1), Image.Resampling.BOX).tobytes() for part in parts).hex())
    return found


def references() -> dict[str, list[str]]:
    """The stored `colors` of each file."""
    return {name: str(text).split() for name, text in json.loads(STORED.read_text()).items()}


def main() -> None:
    stored = {}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, watched(browser) as seen:
        made, errors = make_all(Path(folder))
        assert not errors, errors
        libvips = by_libvips(Path(folder), made)
        for file in table():
            if file.imgrelay != "shown":
                continue
            data = made[file.name]
            shown = in_chromium(seen.page, data) if file.chromium == "same" else None
            if shown is None and file.libvips == "same":
                shown = libvips[file.name]
            stored[file.name] = " ".join(colors(shown or open_source(data, LIMIT)))
    STORED.write_text(json.dumps(stored, indent=0) + "\n")


if __name__ == "__main__":
    main()
