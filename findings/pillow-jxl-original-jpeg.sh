#!/usr/bin/env bash
# pillow-jxl-plugin 1.3.8: a JPEG that was opened, marked in place and saved as .jxl is stored without the mark.
#
# For an image whose format is JPEG, `save` does not encode its pixels. It reads the file that was opened once more and
# packs that into JPEG XL without loss (`lossless_jpeg`, on by default). What leaves `Image.format` as it is changes
# pixels in vain: `paste`, `ImageDraw`, `thumbnail`, also with a `quality` given. So watermarks are missing, and
# thumbnails have full size. A UserWarning speaks of lossless reconstruction, not of lost edits, and Python shows it
# once per process. Methods that return a new image (`resize`, `convert`, `copy`) are not concerned, nor are images that
# were opened from memory. What works: `save(..., lossless_jpeg=False)`.
#
# Seen with pillow-jxl-plugin 1.3.8, Pillow 13.0.0, Python 3.11:
#
#   drawn blue on red: PNG (0, 0, 255), JPEG XL (254, 0, 0), with lossless_jpeg=False (0, 0, 255)
#   thumbnail of 80x60 to 20x15: PNG 20x15, JPEG XL 80x60, with lossless_jpeg=False 20x15
#
# Exits with 0 while this holds, and with 1 once the changed pixels are stored.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow-jxl-plugin==1.3.8 pillow==13.0.0
cd "$folder"
"$folder/venv/bin/python" -W ignore::UserWarning - <<'PYTHON'
import sys

import pillow_jxl
from PIL import Image, ImageDraw

WAYS = {"PNG": ("out.png", {}), "JPEG XL": ("out.jxl", {}),
        "with lossless_jpeg=False": ("out.jxl", {"lossless_jpeg": False, "lossless": True})}
Image.new("RGB", (80, 60), "red").save("photo.jpg", quality=90)


def stored(change, look):
    found = {}
    for way, (name, options) in WAYS.items():
        with Image.open("photo.jpg") as image:
            change(image)
            image.save(name, **options)
        with Image.open(name) as again:
            found[way] = look(again)
    return found


marked = stored(lambda image: ImageDraw.Draw(image).rectangle((0, 0, 40, 30), fill="blue"),
                lambda image: image.getpixel((10, 10)))
small = stored(lambda image: image.thumbnail((20, 20)), lambda image: f"{image.width}x{image.height}")
print("drawn blue on red:", ", ".join(f"{way} {found}" for way, found in marked.items()))
print("thumbnail of 80x60 to 20x15:", ", ".join(f"{way} {found}" for way, found in small.items()))
blue = {way: found[2] > 200 for way, found in marked.items()}
sys.exit((*blue.values(), *small.values()) != (True, False, True, "20x15", "80x60", "20x15"))
PYTHON
