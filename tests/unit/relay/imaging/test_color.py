"""Colour conversion: profiles, sample depths, palettes and transparency become 8-bit sRGB."""

import struct
import threading
from typing import Any

import pytest
from PIL import Image, ImageCms

from imgrelay_dagster.relay.imaging import color
from imgrelay_dagster.relay.imaging.decode import open_source
from tests.support import picture_files as files

LIMIT = 1_000_000


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_rgb_profile_is_converted_to_srgb(file_format: str) -> None:
    level = (30, 128, 220)
    data = files.encoded(Image.new("RGB", (16, 16), level), file_format, icc_profile=files.rgb_profile(), quality=100)
    expected = tuple(files.srgb_encoded(value / 255) for value in level)
    # Lossy formats change the dark level by 1, which the linear curve increases to 2.
    assert files.largest_difference(open_source(data, LIMIT), [expected] * 256) <= 4


def test_profile_with_swapped_primaries_swaps_the_channels() -> None:
    red, green, blue = files.SRGB_PRIMARIES
    profile = files.rgb_profile((green, red, blue))
    data = files.encoded(Image.new("RGB", (4, 4), (255, 0, 64)), "PNG", icc_profile=profile)
    expected = (0, 255, files.srgb_encoded(64 / 255))
    assert files.largest_difference(open_source(data, LIMIT), [expected] * 16) <= 2


def test_profile_does_not_change_alpha() -> None:
    data = files.encoded(Image.new("RGBA", (4, 4), (30, 128, 220, 77)), "PNG", icc_profile=files.rgb_profile())
    expected = (*(files.srgb_encoded(value / 255) for value in (30, 128, 220)), 77)
    assert files.largest_difference(open_source(data, LIMIT), [expected] * 16) <= 1


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_gray_profile_is_converted_to_srgb(mode: str) -> None:
    gray = 60 if mode == "L" else (60, 99)
    data = files.encoded(Image.new(mode, (4, 4), gray), "PNG", icc_profile=files.gray_profile())
    level = files.srgb_encoded(60 / 255)
    expected = (level,) * 3 if mode == "L" else (level, level, level, 99)
    assert files.largest_difference(open_source(data, LIMIT), [expected] * 16) <= 1


def test_cmyk_profile_is_converted_to_srgb() -> None:
    picture = Image.new("CMYK", (16, 16), (200, 10, 60, 128))
    data = files.encoded(picture, "JPEG", icc_profile=files.cmyk_profile(), quality=100)
    level = files.gray_of_lightness(100 * (1 - 128 / 255))
    assert files.largest_difference(open_source(data, LIMIT), [(level,) * 3] * 256) <= 3


@pytest.mark.parametrize("ink", [(0, 0, 0, 0), (255, 0, 0, 0), (0, 200, 100, 0), (50, 100, 150, 60), (0, 0, 0, 255)])
def test_cmyk_without_a_profile_is_read_as_inverted_adobe_cmyk(ink: tuple[int, ...]) -> None:
    data = files.encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in data
    expected = tuple(round((255 - value) * (255 - ink[3]) / 255) for value in ink[:3])
    assert files.largest_difference(open_source(data, LIMIT), [expected] * 256) <= 3


@pytest.mark.parametrize(
    "profile",
    [b"not a profile", files.rgb_profile()[:200], files.gray_profile(), files.cmyk_profile()],
)
def test_broken_or_mismatched_profile_is_ignored(profile: bytes) -> None:
    data = files.encoded(Image.new("RGB", (4, 4), (90, 90, 90)), "PNG", icc_profile=profile)
    assert files.pixels(open_source(data, LIMIT)) == [(90, 90, 90)] * 16


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "AVIF"])
def test_rgb_profile_applies_to_a_gray_picture(file_format: str) -> None:
    data = files.encoded(Image.new("L", (16, 16), 90), file_format, icc_profile=files.rgb_profile(gamma=1.0))
    expected = files.srgb_encoded(90 / 255)
    assert files.largest_difference(open_source(data, LIMIT), [(expected,) * 3] * 256) <= 1


def test_srgb_profile_needs_no_transform_and_others_are_cached() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    linear = files.rgb_profile()
    assert color.transform_to_srgb(srgb, "RGB") is None
    transform = color.transform_to_srgb(linear, "RGB")
    assert transform is not None
    assert color.transform_to_srgb(linear, "RGB") is transform


def test_transform_cache_is_bounded() -> None:
    for at in range(3 * color.MAX_TRANSFORMS):
        assert color.transform_to_srgb(files.rgb_profile(gamma=1 + at / 64), "RGB") is not None
    assert color._transform_cache.weight == color.MAX_TRANSFORMS


def test_transform_is_thread_safe() -> None:
    picture = files.noise((300, 200))
    data = files.encoded(picture, "PNG", icc_profile=files.rgb_profile(gamma=1.4))
    expected = open_source(data, LIMIT).tobytes()
    results: list[bool] = []
    workers = [
        threading.Thread(target=lambda: results.append(open_source(data, LIMIT).tobytes() == expected))
        for _ in range(8)
    ]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join(30)
    assert results == [True] * 8


def test_sixteen_bit_gray_is_scaled_not_clipped() -> None:
    levels = (0, 255, 256, 257, 32768, 65278, 65535)
    data = files.png((7, 1), 16, 0, b"\0" + struct.pack(">7H", *levels))
    assert files.pixels(open_source(data, LIMIT)) == [(round(level / 257),) * 3 for level in levels]


def test_sixteen_bit_gray_is_scaled_in_bands_of_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each band costs as much as 100,000 pixels, so a tall image must not have one for every few rows."""
    bands: list[int] = []
    point = Image.Image.point

    def counted(image: Image.Image, *arguments: Any) -> Image.Image:
        bands.append(image.height)
        return point(image, *arguments)

    monkeypatch.setattr(Image.Image, "point", counted)
    for size in ((2, 60_000), (60_000, 2), (3_000, 1_000)):
        bands.clear()
        scaled = color.to_eight_bits(Image.new("I;16", size, 0x8080))
        assert scaled.getcolors() == [(size[0] * size[1], 0x80)]
        assert sum(bands) == size[1]
        assert len(bands) <= 1 + size[0] * size[1] // 1_000_000


def test_sixteen_bit_rgb_and_alpha_keep_the_high_byte() -> None:
    row = struct.pack(">8H", 65535, 32768, 0, 65535, 256, 4660, 65279, 32768)
    data = files.png((2, 1), 16, 6, b"\0" + row)
    assert files.pixels(open_source(data, LIMIT)) == [(255, 128, 0, 255), (1, 18, 254, 128)]


@pytest.mark.parametrize(
    ("depth", "row", "key", "expected"),
    [
        (1, b"\x40", 1, [(0, 255), (255, 0)]),
        (2, b"\x60", 2, [(85, 255), (170, 0)]),
        (4, b"\x5a", 10, [(85, 255), (170, 0)]),
        (8, b"\x55\xaa", 0xAA, [(85, 255), (170, 0)]),
        (16, b"\x55\x55\xaa\xaa", 0xAAAA, [(85, 255), (170, 0)]),
        (16, b"\xaa\xab\xaa\xaa", 0xAAAA, [(170, 255), (170, 0)]),
    ],
)
def test_transparent_gray_of_any_depth_becomes_alpha(
    depth: int, row: bytes, key: int, expected: list[tuple[int, int]]
) -> None:
    data = files.png((2, 1), depth, 0, b"\0" + row, (b"tRNS", struct.pack(">H", key)))
    assert files.pixels(open_source(data, LIMIT)) == [(gray, gray, gray, alpha) for gray, alpha in expected]


@pytest.mark.parametrize("depth", [8, 16])
def test_transparent_color_becomes_alpha(depth: int) -> None:
    samples = [(1, 2, 3), (200, 100, 50)]
    layout = ">3B" if depth == 8 else ">3H"
    scale = 1 if depth == 8 else 257
    row = b"".join(struct.pack(layout, *(value * scale for value in sample)) for sample in samples)
    key = struct.pack(">3H", *(value * scale for value in samples[1]))
    data = files.png((2, 1), depth, 2, b"\0" + row, (b"tRNS", key))
    assert files.pixels(open_source(data, LIMIT)) == [(1, 2, 3, 255), (200, 100, 50, 0)]


@pytest.mark.parametrize(
    ("transparency", "expected"),
    [
        (None, [(255, 0, 0), (0, 255, 0), (0, 0, 255)]),
        (b"\xff\x00", [(255, 0, 0, 255), (0, 255, 0, 0), (0, 0, 255, 255)]),
        (b"\x10\x80\xf0", [(255, 0, 0, 16), (0, 255, 0, 128), (0, 0, 255, 240)]),
    ],
)
def test_palette_keeps_colors_and_alpha(transparency: bytes | None, expected: list[tuple[int, ...]]) -> None:
    palette = (b"PLTE", b"\xff\0\0\0\xff\0\0\0\xff")
    alpha = [(b"tRNS", transparency)] if transparency else []
    data = files.png((3, 1), 8, 3, b"\0\0\1\2", palette, *alpha)
    assert files.pixels(open_source(data, LIMIT)) == expected


def test_transparent_gif_keeps_transparency() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    data = files.encoded(picture, "GIF", transparency=1)
    assert files.pixels(open_source(data, LIMIT)) == [(10, 20, 30, 255), (200, 100, 50, 0)]


def test_one_bit_gray_and_gray_with_alpha() -> None:
    bits = files.encoded(Image.frombytes("1", (8, 1), b"\xa0"), "PNG")
    assert files.pixels(open_source(bits, LIMIT))[:4] == [(255,) * 3, (0,) * 3, (255,) * 3, (0,) * 3]
    soft = files.encoded(Image.new("LA", (1, 1), (80, 40)), "PNG")
    assert files.pixels(open_source(soft, LIMIT)) == [(80, 80, 80, 40)]


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "AVIF"])
def test_alpha_is_kept(file_format: str) -> None:
    picture = Image.new("RGBA", (16, 16), (200, 100, 50, 128))
    image = open_source(files.encoded(picture, file_format, quality=95), LIMIT)
    assert image.mode == "RGBA"
    assert files.largest_difference(image, [(200, 100, 50, 128)] * 256) <= 4
