#!/usr/bin/env bash
# datasets 5.2.0 (Hugging Face): for a picture that Pillow opened from a file, the file is stored, not the picture.
#
# An image column takes Pillow images, so one expects what the image shows. But an image that still knows its file name
# is stored as that name. Changes in place keep the name: `paste`, `putalpha`, `thumbnail` and all that `ImageDraw`
# draws. So a template pasted onto a photo is missing in the data set, while a picture that went through `copy`,
# `resize` or `convert` is right. An image opened from bytes has no name and is encoded anew, in its own format: a JPEG
# by Pillow's default quality and without its EXIF data, so that a photo that a phone took upright lies on its side.
# The same bytes given as {"bytes": ...} are kept, and turned upright when they are read. What works:
# `image.copy()` after the last change in place, and `ImageOps.exif_transpose` or the bytes themselves.
#
# Seen with datasets 5.2.0, Pillow 13.0.0, Python 3.11 (a black JPEG of 80x60, which its orientation turns into 60x80):
#
#   a white template pasted onto it: the data set has black
#   the same, and copied then: the data set has white
#   made smaller by thumbnail((20, 20)): the data set has 60x80
#   opened from bytes: the data set has 80x60
#   the bytes themselves: the data set has 60x80
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==13.0.0
cd "$folder"
HF_HOME="$folder/home" HF_HUB_OFFLINE=1 venv/bin/python - <<'PYTHON'
import io, sys
from pathlib import Path

import datasets
from PIL import Image

exif = Image.Exif()
exif[0x0112] = 6  # to be turned by 90 degrees
Image.new("RGB", (80, 60), "black").save("photo.jpg", exif=exif)
template = Image.new("RGB", (80, 60), "white")


def stored(value):
    data = datasets.Dataset.from_dict({"image": [value]}, datasets.Features({"image": datasets.Image()}))
    return data[0]["image"]


def colour(image):
    return "black" if max(image.getpixel((9, 9))) < 20 else "white"


def size(image):
    return f"{image.width}x{image.height}"


pasted, smaller = Image.open("photo.jpg"), Image.open("photo.jpg")
pasted.paste(template)
smaller.thumbnail((20, 20))
photo = Path("photo.jpg").read_bytes()
found = {
    "a white template pasted onto it": colour(stored(pasted)),
    "the same, and copied then": colour(stored(pasted.copy())),
    "made smaller by thumbnail((20, 20))": size(stored(smaller)),
    "opened from bytes": size(stored(Image.open(io.BytesIO(photo)))),
    "the bytes themselves": size(stored({"bytes": photo, "path": None})),
}
for what, result in found.items():
    print(f"{what}: the data set has {result}")
sys.exit(list(found.values()) != ["black", "white", "60x80", "80x60", "60x80"])
PYTHON
