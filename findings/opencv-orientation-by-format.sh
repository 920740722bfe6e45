#!/usr/bin/env bash
# OpenCV 5.0.0: `imread` turns a JPEG, PNG or WebP upright, leaves an AVIF on its side, and cannot read such a TIFF.
#
# By default `imread` follows the orientation of a picture, which it is known for with JPEG, and does now with PNG and
# WebP. An AVIF has its rotation as a property of the image (irot), where Pillow puts the orientation, and which
# browsers follow. OpenCV ignores that, so the same photo is upright or not depending on its format. A TIFF with an
# orientation of 5 to 8 (scans, exports of cameras) gives None unless it is square, also with IMREAD_IGNORE_ORIENTATION:
# the size changes by the turn, and an inner check refuses that. What works: Pillow with `ImageOps.exif_transpose`.
#
# Seen with OpenCV 5.0.0 (opencv-python-headless 5.0.0.93), Pillow 13.0.0, Python 3.11 (80x60, to be shown as 60x80):
#
#   jpg: imread has 60x80, Pillow 60x80
#   png: imread has 60x80, Pillow 60x80
#   webp: imread has 60x80, Pillow 60x80
#   avif: imread has 80x60, Pillow 60x80
#   tif: imread has nothing, Pillow 60x80
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 pillow==13.0.0
"$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PYTHON'
import sys

import cv2
from PIL import Image, ImageOps

exif = Image.Exif()
exif[0x0112] = 6  # to be turned by 90 degrees
found = {}
for suffix in ("jpg", "png", "webp", "avif", "tif"):
    path = f"{sys.argv[1]}/photo.{suffix}"
    options = {"tiffinfo": {0x0112: 6}} if suffix == "tif" else {"exif": exif}
    Image.new("RGB", (80, 60), "red").save(path, **options)
    pixels = cv2.imread(path)
    found[suffix] = "nothing" if pixels is None else f"{pixels.shape[1]}x{pixels.shape[0]}"
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
    print(f"{suffix}: imread has {found[suffix]}, Pillow {upright.width}x{upright.height}")
sys.exit(list(found.values()) != ["60x80", "60x80", "60x80", "80x60", "nothing"])
PYTHON
