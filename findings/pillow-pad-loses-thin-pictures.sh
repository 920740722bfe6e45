#!/usr/bin/env bash
# Pillow 13.0.0: `ImageOps.pad` returns the bare background for a picture that is very wide or very tall.
#
# The other side of the picture in its box is rounded, also to 0: a rule of 1000x4 in a box of 100x100 would be 0.4
# pixels high. Pillow 12.3 raised then. Pillow 13 goes on: `contain` returns an image without pixels, and `pad` pastes
# that, so that the picture is stored blank, without an error. `Image.thumbnail`, made for the same purpose, keeps at
# least 1 pixel. What `contain` returns is refused when it is saved: most formats raise ValueError, but WebP
# MemoryError, which reads as if the machine were too small. Lines, banners and spectra in lists are such pictures. What
# works: `thumbnail` on a copy before `pad`, which then leaves the size as it is.
#
# Seen with Pillow 13.0.0, Python 3.11 (a red picture of 1000x4 in a white box of 100x100):
#
#   pad: 100x100, red pixels: 0
#   contain: 100x0, saved as PNG: ValueError, as WebP: MemoryError
#   thumbnail: 100x1
#
# Exits with 0 while this holds, and with 1 once a pixel is kept or `pad` raises.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import io, sys

from PIL import Image, ImageOps

BOX = (100, 100)
image = Image.new("RGB", (1000, 4), "red")


def saved(picture, kind):
    try:
        picture.save(io.BytesIO(), kind)
    except Exception as error:
        return type(error).__name__
    return "ok"


contained = ImageOps.contain(image, BOX)
padded = ImageOps.pad(image, BOX, color="white")
red = sum(count for count, pixel in padded.getcolors() if pixel != (255, 255, 255))
small = image.copy()
small.thumbnail(BOX)
print("pad: {}x{}, red pixels: {}".format(*padded.size, red))
print("contain: {}x{}, saved as PNG: {}, as WebP: {}".format(
    *contained.size, saved(contained, "PNG"), saved(contained, "WEBP")))
print("thumbnail: {}x{}".format(*small.size))
sys.exit((contained.size, red, small.size) != ((100, 0), 0, (100, 1)))
PYTHON
