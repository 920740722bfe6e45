#!/usr/bin/env bash
# Pillow 13.0.0: `paste` of a red logo on a picture with a palette is white, though red is a colour of that palette.
#
# GIF files and small PNG files open in mode P: each pixel is a number in the file's palette. `paste` brings what is
# pasted to the mode of the picture, so one expects the nearest colours of that palette. But the conversion to P knows
# nothing of the picture: it makes numbers for a palette of its own, which is then dropped, and the picture's palette
# gives other colours to them. A logo that has a palette itself is not converted at all: its numbers are taken over. In
# all other modes paste keeps the colours or the brightness. Nothing is raised, and which colours one gets, differs from
# picture to picture. What works: `convert("RGBA")` of the picture before.
#
# Seen with Pillow 13.0.0, Python 3.11 (the logo is 255,0,0; shown is one pixel of it in the picture):
#
#   gray picture, logo in RGBA: (253, 253, 253)
#   gray picture, logo with a palette: (253, 253, 253)
#   picture with 255,0,0 in its palette, logo in RGBA: (255, 255, 255)
#   picture with 255,0,0 in its palette, logo with a palette: (255, 255, 255)
#   picture with 255,0,0 in its palette, converted to RGBA before: (255, 0, 0)
#
# Exits with 0 while this holds, and with 1 once the logo is red.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

from PIL import Image

RED = (255, 0, 0)
ramp = Image.linear_gradient("L")
ramp.quantize(64).save(f"{sys.argv[1]}/gray.gif")
colours = Image.new("RGB", (256, 256))
for number in range(64):
    colour = (number // 16 * 85, number // 4 % 4 * 85, number % 4 * 85)
    colours.paste(colour, (number % 8 * 32, number // 8 * 32, number % 8 * 32 + 32, number // 8 * 32 + 32))
colours.quantize(64).save(f"{sys.argv[1]}/colours.gif")
logo = Image.new("RGBA", (20, 20), RED)
found = []


def tried(what, name, logo, mode=None):
    with Image.open(f"{sys.argv[1]}/{name}.gif") as picture:
        assert picture.mode == "P", picture.mode
        if name == "colours":
            assert RED in [colour for _, colour in picture.convert("RGB").getcolors()]
        if mode:
            picture = picture.convert(mode)
        picture.paste(logo, (40, 40), logo.convert("RGBA"))
        found.append(picture.convert("RGB").getpixel((50, 50)))
    print(f"{what}: {found[-1]}")


with_red = "picture with 255,0,0 in its palette"
tried("gray picture, logo in RGBA", "gray", logo)
tried("gray picture, logo with a palette", "gray", logo.quantize(4))
tried(f"{with_red}, logo in RGBA", "colours", logo)
tried(f"{with_red}, logo with a palette", "colours", logo.quantize(4))
tried(f"{with_red}, converted to RGBA before", "colours", logo, "RGBA")
sys.exit(RED in found[:4] or found[4] != RED)
PYTHON
