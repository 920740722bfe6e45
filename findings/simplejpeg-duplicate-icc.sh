#!/usr/bin/env bash
# simplejpeg 1.9.0: `decode_jpeg(data, strict=False)` raises for a JPEG whose ICC profile is stored twice.
#
# `strict=False` is documented to let recoverable errors pass, and libjpeg-turbo itself, Pillow and browsers show such
# a picture: the profile concerns no pixel. The way out is to remove the APP2 segments before decoding.
#
# Output seen:
#   simplejpeg 1.9.0
#   once, strict=False: (8, 8, 3)
#   twice, strict=False: ValueError: Corrupt JPEG data: bad ICC marker
#   twice, Pillow: (8, 8)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet simplejpeg==1.9.0 pillow==13.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import io
import struct

import simplejpeg
from PIL import Image, ImageCms

print("simplejpeg", importlib.metadata.version("simplejpeg"))
buffer = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(buffer, "JPEG")
plain = buffer.getvalue()
body = b"ICC_PROFILE\0\1\1" + ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
segment = b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body
once, twice = plain[:2] + segment + plain[2:], plain[:2] + 2 * segment + plain[2:]
print("once, strict=False:", simplejpeg.decode_jpeg(once, strict=False).shape)
try:
    simplejpeg.decode_jpeg(twice, strict=False)
except ValueError as error:
    print("twice, strict=False: ValueError:", error)
else:
    raise SystemExit("the behaviour has changed: the picture is decoded")
with Image.open(io.BytesIO(twice)) as image:
    image.load()
    print("twice, Pillow:", image.size)
PYTHON
