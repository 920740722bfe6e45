#!/usr/bin/env bash
# ImageHash 4.3.2: all black icons on a transparent background have one and the same hash, by each of its methods.
#
# The hash is made of `convert("L")`, which drops the alpha channel and keeps the colour below. Below transparent pixels
# most files have black. So a circle, a cross and an empty picture are one black square to the hash: their distance is
# 0, which is what programs take for a duplicate and leave out, and no threshold is low enough to help. Logos in one
# colour on a transparent ground of the same colour, as vector programs export them, are the same case. What works:
# laying each picture on a colour before, as on gray, where black and white icons both show.
#
# Seen with ImageHash 4.3.2, Pillow 13.0.0, Python 3.11 (distances of circle and cross, of circle and empty):
#
#   average_hash: 0, 0; laid on gray: 30, 40
#   phash: 0, 0; laid on gray: 34, 31
#   dhash: 0, 0; laid on gray: 32, 30
#   whash: 0, 0; laid on gray: 25, 32
#   colorhash: 0, 0; laid on gray: 2, 3
#   crop_resistant_hash: 0, 0; laid on gray: 1, 1
#
# Exits with 0 while this holds, and with 1 once the hashes differ.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imagehash==4.3.2 pillow==13.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import imagehash
from PIL import Image, ImageDraw

BLACK = (0, 0, 0, 255)
circle, cross, empty = (Image.new("RGBA", (128, 128), (0, 0, 0, 0)) for _ in range(3))
ImageDraw.Draw(circle).ellipse((20, 20, 108, 108), fill=BLACK)
for line in ((10, 10, 118, 118), (10, 118, 118, 10)):
    ImageDraw.Draw(cross).line(line, fill=BLACK, width=16)


def on_gray(icon):
    return Image.alpha_composite(Image.new("RGBA", icon.size, (128, 128, 128, 255)), icon)


same = True
for method in ("average_hash", "phash", "dhash", "whash", "colorhash", "crop_resistant_hash"):
    make = getattr(imagehash, method)
    found = []
    for turned in (lambda icon: icon, on_gray):
        first, second, third = (make(turned(icon)) for icon in (circle, cross, empty))
        found.append((first - second, first - third))
    plain, laid = (", ".join(f"{value:g}" for value in pair) for pair in found)
    print(f"{method}: {plain}; laid on gray: {laid}")
    same = same and found[0] == (0, 0)
sys.exit(not same)
PYTHON
