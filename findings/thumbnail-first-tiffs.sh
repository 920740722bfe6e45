#!/usr/bin/env bash
# libvips, OpenCV, imageio and Pillow: of a TIFF that starts with a thumbnail, as the raw files of cameras do, they read
# the thumbnail, without a word.
#
# A page of a TIFF may say that it is a smaller version of another one (NewSubfileType, TIFF 6.0, section 8). DNG, NEF
# and ARW put such a page first and the sensor data into a SubIFD; some scanners put the full picture into the second
# page. All four readers look at the first page alone. So a relay of photographs stores a picture of 160x120 pixels as
# if it were the photograph, and it reports a success. tifffile, which wrote these files, tells both pages apart.
#
# Seen with pyvips-binary 8.18.1 (libvips), OpenCV 5.0.0 (opencv-python-headless 5.0.0.93), imageio 2.38.1 without
# its tifffile plugin, Pillow 13.0.0, tifffile 2026.3.3, Python 3.11 (a picture of 320x240, a thumbnail of 16x12):
#
#   next page: libvips 16x12, OpenCV 16x12, imageio 16x12, Pillow 16x12, tifffile [('16x12', 1), ('320x240', 0)]
#   SubIFD: libvips 16x12, OpenCV 16x12, imageio 16x12, Pillow 16x12, tifffile [('16x12', 1), ('320x240', 0)]
#
# Exits with 0 while this holds, and with 1 once one of them reads the picture or refuses the file.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyvips==3.1.1 pyvips-binary==8.18.1 numpy==2.4.6 \
    opencv-python-headless==5.0.0.93 imageio==2.38.1 pillow==13.0.0 tifffile==2026.3.3
"$folder/venv/bin/python" -W ignore - "$folder" 2>"$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
import sys

import cv2
import imageio.v3
import numpy
import pyvips
import tifffile
from PIL import Image

thumbnail = numpy.full((12, 16, 3), 200, numpy.uint8)
picture = numpy.full((240, 320, 3), 90, numpy.uint8)


def readers(path):
    vips, pixels = pyvips.Image.new_from_file(path), cv2.imread(path)
    read = imageio.v3.imread(path, plugin="pillow", index=0)
    with Image.open(path) as image:
        return {
            "libvips": (vips.width, vips.height),
            "OpenCV": (pixels.shape[1], pixels.shape[0]),
            "imageio": (read.shape[1], read.shape[0]),
            "Pillow": image.size,
        }


def stored(path):
    with tifffile.TiffFile(path) as file:
        first = file.pages[0]
        pages = [first, *(first.pages or file.pages[1:])]
        return [(f"{page.imagewidth}x{page.imagelength}", int(page.subfiletype)) for page in pages]


wrong = False
for what, below in (("next page", 0), ("SubIFD", 1)):
    path = f"{sys.argv[1]}/{below}.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(thumbnail, photometric="rgb", subfiletype=1, subifds=below)
        writer.write(picture, photometric="rgb", subfiletype=0)
    read = readers(path)
    print(f"{what}: {', '.join(f'{name} {w}x{h}' for name, (w, h) in read.items())}, tifffile {stored(path)}")
    wrong |= set(read.values()) != {(16, 12)} or stored(path) != [("16x12", 1), ("320x240", 0)]
sys.exit(wrong)
PYTHON
