#!/usr/bin/env bash
# imageio 2.38.1: `imread` of a transparent PNG is opaque if the file has a palette, as shrunk logos have.
#
# A PNG with an alpha channel is read with it. pngquant, Pillow's `quantize` and many exports make the same picture
# smaller by a palette, whose entries have the transparency. imageio converts the palette to colours and leaves the
# transparency out: three channels come back, and the clear parts show whatever colour their entry has, mostly black. So
# a template is a black box over the photo as soon as someone shrinks its file. It is so in v2 and v3, and with the
# single transparent colour that an RGB or gray PNG can have. OpenCV and Pillow keep it. What works: `mode="RGBA"`.
#
# Seen with imageio 2.38.1, OpenCV 5.0.0 (opencv-python-headless 5.0.0.93), Pillow 13.0.0, Python 3.11 (channels read,
# and the first pixel, which is clear):
#
#   alpha channel: v3 4 [0, 0, 0, 0], v2 4 [0, 0, 0, 0], OpenCV 4 [0, 0, 0, 0], v3 with mode 4 [0, 0, 0, 0]
#   palette: v3 3 [0, 0, 0], v2 3 [0, 0, 0], OpenCV 4 [0, 0, 0, 0], v3 with mode 4 [0, 0, 0, 0]
#   one colour: v3 3 [0, 0, 0], v2 3 [0, 0, 0], OpenCV 4 [0, 0, 0, 0], v3 with mode 4 [0, 0, 0, 0]
#
# Exits with 0 while this holds, and with 1 once the transparency is kept.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio==2.38.1 pillow==13.0.0 numpy==2.4.6 \
    opencv-python-headless==5.0.0.93
"$folder/venv/bin/python" -W ignore - "$folder/logo.png" <<'PYTHON'
import sys

import cv2
import imageio.v2
import imageio.v3
from PIL import Image

path = sys.argv[1]
logo = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
logo.paste((200, 0, 0, 255), (16, 16, 32, 32))
found = []
for what, picture, options in (
    ("alpha channel", logo, {}),
    ("palette", logo.quantize(8), {}),
    ("one colour", logo.convert("RGB"), {"transparency": (0, 0, 0)}),
):
    picture.save(path, **options)
    read = {
        "v3": imageio.v3.imread(path),
        "v2": imageio.v2.imread(path),
        "OpenCV": cv2.imread(path, cv2.IMREAD_UNCHANGED),
        "v3 with mode": imageio.v3.imread(path, mode="RGBA"),
    }
    found.append([pixels.shape[-1] for pixels in read.values()])
    texts = [f"{name} {pixels.shape[-1]} {pixels[0, 0].tolist()}" for name, pixels in read.items()]
    print(f"{what}: {', '.join(texts)}")
sys.exit(found != [[4, 4, 4, 4], [3, 3, 4, 4], [3, 3, 4, 4]])
PYTHON
