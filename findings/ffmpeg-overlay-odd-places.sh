#!/usr/bin/env bash
# ffmpeg 5.1.9 (Debian 12): `overlay=5:5` lays a logo at 4:4, also if photo, logo and result are all PNG.
#
# The filter works in yuv420 by default, whatever it is given and whatever it writes. There, two by two pixels share one
# colour, and places are rounded down to even ones. So each logo at an odd place is one pixel off, as with the usual
# `(W-w)/2` for every second size, and a thin red line loses its colour to its neighbours. The log has no warning. What
# works: `overlay=5:5:format=auto` (or rgb, yuv444).
#
# Seen with ffmpeg 5.1.9 of Debian 12, Pillow 13.0.0 (a logo of 11x11 and a red line of 1x40 on white, all in PNG):
#
#   overlay=5:5: at 4:4
#   overlay=5:5:format=auto: at 5:5
#   overlay=(W-w)/2:(H-h)/2, which is 25:25: at 24:24
#   overlay=(W-w)/2:(H-h)/2:format=auto, which is 25:25: at 25:25
#   red line: 164,38,38
#   red line, format=auto: 255,0,0
#
# Exits with 0 while this holds, and with 1 once logo and line are as they were laid. Needs ffmpeg.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ffmpeg -version | head -n 1 | cut -d ' ' -f 1-3
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess, sys

from PIL import Image, ImageChops

folder, WHITE, RED = sys.argv[1], (255, 255, 255), (255, 0, 0)
Image.new("RGB", (61, 61), WHITE).save(f"{folder}/photo.png")
Image.new("RGB", (11, 11), RED).save(f"{folder}/logo.png")
Image.new("RGB", (1, 40), RED).save(f"{folder}/line.png")


def laid(name, overlay):
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", f"{folder}/photo.png", "-i", f"{folder}/{name}.png",
                    "-filter_complex", f"overlay={overlay}", f"{folder}/out.png"], check=True, stdin=subprocess.DEVNULL)
    with Image.open(f"{folder}/out.png") as image:
        return image.convert("RGB")


def place(overlay):
    difference = ImageChops.difference(laid("logo", overlay), Image.new("RGB", (61, 61), WHITE)).convert("L")
    left, top, *_ = difference.point(lambda value: 255 if value > 60 else 0).getbbox()
    return f"{left}:{top}"


found = []
for overlay, what in (("5:5", ""), ("(W-w)/2:(H-h)/2", ", which is 25:25")):
    for form in ("", ":format=auto"):
        found.append(place(overlay + form))
        print(f"overlay={overlay}{form}{what}: at {found[-1]}")
for form in ("", ":format=auto"):
    pixel = laid("line", f"20:10{form}").getpixel((20, 30))
    found.append("red" if pixel[0] > 230 else "other")
    print(f"red line{form and ', format=auto'}: {','.join(map(str, pixel))}")
sys.exit(found != ["4:4", "5:5", "24:24", "25:25", "other", "red"])
PYTHON
