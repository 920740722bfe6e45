#!/usr/bin/env bash
# ImageMagick 6.9.11-60: a red logo on a gray photo is red in a PNG and gray in a JPEG or WebP; on a CMYK photo, cyan.
#
# The result of `-composite` has the colourspace of the photo. The logo's colours are in its pixels, but the picture is
# still marked as gray. PNG looks at the pixels and stores red. JPEG and WebP go by the mark and store one channel. So a
# batch of `convert photo.jpg logo.png -composite` brands each black-and-white photo with a gray logo, while all others
# are right, and a try with PNG shows nothing of it. On a CMYK photo, as print shops send them, the logo's RGB values
# are stored as if they were inks: red becomes cyan. `composite` does the same with a gray photo. What works:
# `-colorspace sRGB` after the photo and before the logo.
#
# Seen with ImageMagick 6.9.11-60 Q16 of Debian 12 (the logo is 255,0,0; shown is one pixel of it in the result):
#
#   gray photo, out.png: 255,0,0
#   gray photo, out.jpg: 54,54,54
#   gray photo, out.webp: 54,54,54
#   gray photo, -colorspace sRGB, out.jpg: 254,0,0
#   CMYK photo, out.jpg: 1,255,255
#   CMYK photo, -colorspace sRGB, out.jpg: 254,0,0
#
# Exits with 0 while this holds, and with 1 once the logo is red. Needs ImageMagick 6.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
convert -version | head -n 1 | cut -d " " -f 2,3
convert -size 64x64 gradient:black-white -colorspace Gray gray.jpg
convert -size 64x64 gradient:black-white -colorspace CMYK cmyk.jpg
convert -size 32x32 xc:red logo.png
status=0

# tried WHAT PHOTO OUT EXPECTED OPTION...: lays the logo over the photo, and compares its colour with the expected one
tried() {
    local what=$1 photo=$2 out=$3 expected=$4
    shift 4
    convert "$photo" "$@" logo.png -geometry +16+16 -composite "$out"
    local pixel red green
    pixel=$(convert "$out" -colorspace sRGB -depth 8 -crop 1x1+32+32 rgb:- | od --address-radix=n --format=u1 |
        xargs | tr ' ' ',')
    echo "$what, $out: $pixel"
    IFS=, read -r red green _ <<<"$pixel"
    case $expected in
    red) [ "$red" -gt 200 ] && [ "$green" -lt 30 ] || status=1 ;;
    gray) [ "$red" -lt 100 ] && [ $((red - green)) -lt 10 ] || status=1 ;;
    cyan) [ "$red" -lt 60 ] && [ "$green" -gt 200 ] || status=1 ;;
    esac
}

tried "gray photo" gray.jpg out.png red
tried "gray photo" gray.jpg out.jpg gray
tried "gray photo" gray.jpg out.webp gray
tried "gray photo, -colorspace sRGB" gray.jpg out.jpg red -colorspace sRGB
tried "CMYK photo" cmyk.jpg out.jpg cyan
tried "CMYK photo, -colorspace sRGB" cmyk.jpg out.jpg red -colorspace sRGB
exit "$status"
