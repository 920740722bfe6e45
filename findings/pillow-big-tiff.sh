#!/usr/bin/env bash
# Pillow 13.0.0: `save(big_tiff=True)` writes an ordinary TIFF as soon as a compression is given, without a word, and a
# big-endian BigTIFF is recognised and then cannot be opened.
#
# A BigTIFF has offsets of 64 bits, for files of more than 4 GiB. Pillow writes one without compression only: with LZW,
# Deflate or JPEG it hands the file to libtiff, which is not told. The file of a scan or a map that was meant to outgrow
# 4 GiB has the limit that the option was given to avoid. When Pillow reads, it looks for the number 43 in the first of
# the two bytes of the version, where only the little-endian form has it. tifffile reads and writes all of these.
#
# Seen with Pillow 13.0.0 (libtiff 4.7.2), tifffile 2026.3.3, Python 3.11:
#
#   written with big_tiff=True: raw BigTIFF, packbits TIFF, tiff_lzw TIFF, tiff_adobe_deflate TIFF, jpeg TIFF
#   BigTIFF of tifffile: little-endian (64, 48), big-endian UnidentifiedImageError, tifffile (64, 48)
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import io
import sys

import numpy
import tifffile
from PIL import Image, UnidentifiedImageError

picture = Image.new("RGB", (64, 48), (200, 60, 40))
kinds = {}
for compression in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg"):
    file = io.BytesIO()
    picture.save(file, "TIFF", big_tiff=True, compression=compression)
    kinds[compression] = {42: "TIFF", 43: "BigTIFF"}[int.from_bytes(file.getvalue()[2:4], "little")]
print("written with big_tiff=True:", ", ".join(f"{name} {kind}" for name, kind in kinds.items()))

read = []
for order in ("<", ">"):
    file = io.BytesIO()
    tifffile.imwrite(file, numpy.asarray(picture), photometric="rgb", bigtiff=True, byteorder=order)
    file.seek(0)
    try:
        read.append(str(Image.open(file).size))
    except UnidentifiedImageError as error:
        read.append(type(error).__name__)
file.seek(0)
height, width, _ = tifffile.imread(file).shape
print(f"BigTIFF of tifffile: little-endian {read[0]}, big-endian {read[1]}, tifffile {(width, height)}")
wrong = list(kinds.values()) != ["BigTIFF", *["TIFF"] * 4] or read != ["(64, 48)", "UnidentifiedImageError"]
sys.exit(wrong)
PYTHON
