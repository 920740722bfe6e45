"""Builds ICC profiles of two RGB spaces wider than sRGB, and converts sRGB pictures into them.

They are matrix/TRC profiles as in ICC.1:2001-04 (version 2), written byte by byte, so that they never change: Pillow's
own `ImageCms.createProfile` supports no RGB space but sRGB, and writes the current time into the profile.
"""

import struct
from io import BytesIO

from PIL import Image, ImageCms

# XYZ of red, green and blue under the illuminant D50, and the gamma.
SPACES = {
    "adobe-like": (
        ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
        2.2,
    ),
    "display-p3-like": (
        ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
        2.2,
    ),
}
_WHITE = (0.9642, 1.0, 0.8249)


def profile(space: str) -> bytes:
    """Return the ICC profile of one of `SPACES`."""
    primaries, gamma = SPACES[space]
    name = f"imgrelay demo {space}".encode()
    curve = struct.pack(">4s4xIHxx", b"curv", 1, round(gamma * 256))
    description = struct.pack(">4s4xI", b"desc", len(name) + 1) + name + bytes(1 + 4 + 4 + 2 + 1 + 67)
    tags = {
        b"desc": description,
        b"cprt": b"text\0\0\0\0No rights reserved\0",
        b"wtpt": _xyz(_WHITE),
        **{tag: _xyz(value) for tag, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    index, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        index += struct.pack(">4sII", tag, start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4xI4s4s4s", start + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _fixed(_WHITE)
    return head.ljust(128, b"\0") + index + body


def convert_to(picture: Image.Image, space: str) -> Image.Image:
    """Convert an sRGB picture to `space`. The colours stay the same."""
    target = ImageCms.ImageCmsProfile(BytesIO(profile(space)))
    converted = ImageCms.profileToProfile(picture, ImageCms.createProfile("sRGB"), target)
    assert converted is not None
    return converted


def _xyz(value: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(value)


def _fixed(value: tuple[float, ...]) -> bytes:
    return struct.pack(">3i", *(round(number * 65536) for number in value))
