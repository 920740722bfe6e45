"""Decoding: every kind of picture becomes the right upright sRGB pixels."""

import io
import struct
import threading
import time

import pytest
from PIL import AvifImagePlugin, Image, ImageCms, ImageFile, features

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging import color
from imgrelay_dagster.relay.imaging.decode import HIGHEST_MAX_PIXELS, Source, open_source
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files

LIMIT = 1_000_000
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "AVIF"]


def refusal(data: bytes, max_pixels: int = LIMIT) -> EntryFailure:
    with pytest.raises(EntryFailure) as caught:
        open_source(data, max_pixels)
    return caught.value


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_opens_as_a_bare_rgb_image(file_format: str) -> None:
    picture = Image.new("RGB", (40, 30), (200, 40, 80))
    image = open_source(files.encoded(picture, file_format, comment="hello"), LIMIT)
    assert type(image) is Image.Image
    assert (image.mode, image.size, image.info) == ("RGB", (40, 30), {})
    assert files.largest_difference(image, [(200, 40, 80)] * 1200) <= (0 if file_format in ("PNG", "GIF") else 3)


def test_an_mpo_opens_as_its_first_picture() -> None:
    first, second = Image.new("RGB", (32, 16), "red"), Image.new("RGB", (64, 64), "blue")
    image = open_source(files.encoded(first, "MPO", save_all=True, append_images=[second]), LIMIT)
    assert files.largest_difference(image, [(255, 0, 0)] * 512) <= 2


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "AVIF", "PNG"])
def test_an_animation_opens_as_its_first_frame(file_format: str) -> None:
    frames = [Image.new("RGB", (20, 10), name) for name in ("lime", "red", "blue")]
    data = files.encoded(frames[0], file_format, save_all=True, append_images=frames[1:], duration=50)
    assert files.largest_difference(open_source(data, LIMIT), [(0, 255, 0)] * 200) <= 6


def test_a_gif_of_100_000_frames_costs_only_the_first() -> None:
    single = files.encoded(Image.new("P", (8, 8), 3), "GIF")
    frame = single[single.index(b",") : -1]
    many = single[:-1] + frame * 100_000 + b";"
    began = time.process_time()
    image = open_source(many, LIMIT)
    opened = time.process_time()
    with Image.open(io.BytesIO(many)) as counted:
        assert counted.n_frames == 100_001
    walked = time.process_time()
    assert image.tobytes() == open_source(single, LIMIT).tobytes()
    assert 10 * (opened - began) < walked - opened


ORIENTED = {
    1: "abc def",
    2: "cba fed",
    3: "fed cba",
    4: "def abc",
    5: "ad be cf",
    6: "da eb fc",
    7: "fc eb da",
    8: "cf be ad",
}
"""Rows of the upright picture by EXIF orientation, where `abc` and `def` are stored (EXIF 2.3, 4.6.4)."""
LETTERS = {letter: (40 * at, 200 - 40 * at, 255 * (at % 2)) for at, letter in enumerate("abcdef")}


def stored_letters(block: int) -> Image.Image:
    image = Image.new("RGB", (3, 2))
    for at, letter in enumerate("abcdef"):
        image.putpixel((at % 3, at // 3), LETTERS[letter])
    return image.resize((3 * block, 2 * block), Image.Resampling.NEAREST)


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_every_exif_orientation_is_made_upright(file_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = files.encoded(stored_letters(16), file_format, exif=exif, quality=95)
    image = open_source(data, LIMIT)
    rows = ORIENTED[orientation].split()
    assert image.size == (16 * len(rows[0]), 16 * len(rows))
    for y, row in enumerate(rows):
        for x, letter in enumerate(row):
            center = image.getpixel((16 * x + 8, 16 * y + 8))
            assert max(abs(a - b) for a, b in zip(center, LETTERS[letter], strict=True)) <= 12, (x, y)
    assert dict(image.getexif()) == {}


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_ignored(exif: bytes) -> None:
    data = files.encoded(Image.new("RGB", (20, 10), "white"), "JPEG", exif=exif)
    assert open_source(data, LIMIT).size == (20, 10)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_an_rgb_profile_is_converted_to_srgb(file_format: str) -> None:
    level = (30, 128, 220)
    data = files.encoded(Image.new("RGB", (16, 16), level), file_format, icc_profile=files.rgb_profile(), quality=100)
    expected = tuple(files.srgb_encoded(value / 255) for value in level)
    # Lossy formats move the dark level by 1, which the linear curve turns into 2.
    assert files.largest_difference(open_source(data, LIMIT), [expected] * 256) <= 4


def test_a_profile_with_swapped_primaries_swaps_the_channels() -> None:
    red, green, blue = files.SRGB_PRIMARIES
    profile = files.rgb_profile((green, red, blue))
    data = files.encoded(Image.new("RGB", (4, 4), (255, 0, 64)), "PNG", icc_profile=profile)
    expected = (0, 255, files.srgb_encoded(64 / 255))
    assert files.largest_difference(open_source(data, LIMIT), [expected] * 16) <= 2


def test_a_profile_leaves_alpha_alone() -> None:
    data = files.encoded(Image.new("RGBA", (4, 4), (30, 128, 220, 77)), "PNG", icc_profile=files.rgb_profile())
    expected = (*(files.srgb_encoded(value / 255) for value in (30, 128, 220)), 77)
    assert files.largest_difference(open_source(data, LIMIT), [expected] * 16) <= 1


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_gray_profile_is_converted_to_srgb(mode: str) -> None:
    gray = 60 if mode == "L" else (60, 99)
    data = files.encoded(Image.new(mode, (4, 4), gray), "PNG", icc_profile=files.gray_profile())
    level = files.srgb_encoded(60 / 255)
    expected = (level,) * 3 if mode == "L" else (level, level, level, 99)
    assert files.largest_difference(open_source(data, LIMIT), [expected] * 16) <= 1


def test_a_cmyk_profile_is_converted_to_srgb() -> None:
    picture = Image.new("CMYK", (16, 16), (200, 10, 60, 128))
    data = files.encoded(picture, "JPEG", icc_profile=files.cmyk_profile(), quality=100)
    level = files.gray_of_lightness(100 * (1 - 128 / 255))
    assert files.largest_difference(open_source(data, LIMIT), [(level,) * 3] * 256) <= 3


@pytest.mark.parametrize("ink", [(0, 0, 0, 0), (255, 0, 0, 0), (0, 200, 100, 0), (50, 100, 150, 60), (0, 0, 0, 255)])
def test_cmyk_without_a_profile_is_read_as_adobe_writes_it(ink: tuple[int, ...]) -> None:
    data = files.encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in data
    expected = tuple(round((255 - value) * (255 - ink[3]) / 255) for value in ink[:3])
    assert files.largest_difference(open_source(data, LIMIT), [expected] * 256) <= 3


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", b"not a profile"),
        ("RGB", files.rgb_profile()[:200]),
        ("RGB", files.gray_profile()),
        ("RGB", files.cmyk_profile()),
        ("L", files.rgb_profile()),
    ],
)
def test_a_broken_or_mismatched_profile_is_ignored(mode: str, profile: bytes) -> None:
    value = 90 if mode == "L" else (90, 90, 90)
    data = files.encoded(Image.new(mode, (4, 4), value), "PNG", icc_profile=profile)
    assert files.pixels(open_source(data, LIMIT)) == [(90, 90, 90)] * 16


def test_an_srgb_profile_costs_no_conversion_and_others_are_built_once() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    linear = files.rgb_profile()
    assert color.transform_to_srgb(srgb, "RGB") is None
    transform = color.transform_to_srgb(linear, "RGB")
    assert transform is not None
    assert color.transform_to_srgb(linear, "RGB") is transform


def test_profiles_of_strangers_do_not_pile_up() -> None:
    for at in range(3 * color.PROFILES_KEPT):
        assert color.transform_to_srgb(files.rgb_profile(gamma=1 + at / 64), "RGB") is not None
    assert color._transforms.weight == color.PROFILES_KEPT


def test_one_transform_serves_many_threads() -> None:
    picture = files.noise((300, 200))
    data = files.encoded(picture, "PNG", icc_profile=files.rgb_profile(gamma=1.4))
    expected = open_source(data, LIMIT).tobytes()
    results: list[bool] = []
    work = [
        threading.Thread(target=lambda: results.append(open_source(data, LIMIT).tobytes() == expected))
        for _ in range(8)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join(30)
    assert results == [True] * 8


def test_sixteen_bit_gray_is_scaled_not_clipped() -> None:
    levels = (0, 255, 256, 257, 32768, 65278, 65535)
    data = files.png((7, 1), 16, 0, b"\0" + struct.pack(">7H", *levels))
    assert files.pixels(open_source(data, LIMIT)) == [(round(level / 257),) * 3 for level in levels]


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
def test_a_transparent_gray_of_any_depth_becomes_alpha(
    depth: int, row: bytes, key: int, expected: list[tuple[int, int]]
) -> None:
    data = files.png((2, 1), depth, 0, b"\0" + row, (b"tRNS", struct.pack(">H", key)))
    assert files.pixels(open_source(data, LIMIT)) == [(gray, gray, gray, alpha) for gray, alpha in expected]


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_color_becomes_alpha(depth: int) -> None:
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
def test_a_palette_keeps_colors_and_alpha(transparency: bytes | None, expected: list[tuple[int, ...]]) -> None:
    palette = (b"PLTE", b"\xff\0\0\0\xff\0\0\0\xff")
    alpha = [(b"tRNS", transparency)] if transparency else []
    data = files.png((3, 1), 8, 3, b"\0\0\1\2", palette, *alpha)
    assert files.pixels(open_source(data, LIMIT)) == expected


def test_a_transparent_gif_keeps_its_holes() -> None:
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


def test_a_progressive_and_a_gray_jpeg_open() -> None:
    picture = files.noise((80, 60))
    progressive = open_source(files.encoded(picture, "JPEG", quality=95, subsampling=0, progressive=True), LIMIT)
    assert files.mean_difference(progressive, picture) < 2
    gray = open_source(files.encoded(picture.convert("L"), "JPEG", quality=95), LIMIT)
    assert files.mean_difference(gray, picture.convert("L").convert("RGB")) < 2


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_shrunk_while_decoding_only_to_twice_what_is_needed(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = files.encoded(files.noise((1601, 1200)), "JPEG", exif=exif)
    source = Source.inspect(data, 10 * LIMIT)
    wanted: list[tuple[int, int]] = []

    def drawn_at(full: tuple[int, int]) -> tuple[int, int]:
        wanted.append(full)
        return (200, 150) if orientation == 1 else (150, 200)

    small = source.decode(drawn_at)
    upright = (1601, 1200) if orientation == 1 else (1200, 1601)
    assert wanted == [upright]
    assert small.full_size == upright
    assert sorted(small.image.size) == [300, 401]
    assert source.decode(lambda full: full).image.size == upright


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"<!DOCTYPE html><html>404</html>", "HTML page"),
        (b"\n <HTML><body>", "HTML page"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"BM" + bytes(100), "bytes 42 4d 00"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "bytes 00 00 00 18"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp42isom", "bytes 00 00 00 18"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "bytes 52 49 46 46"),
        (b"%PDF-1.7", "bytes 25 50 44 46"),
        (b"x", "bytes 78"),
    ],
)
def test_what_is_not_on_the_list_is_unsupported(body: bytes, detail: str) -> None:
    failure = refusal(body)
    assert failure.reason == Reason.UNSUPPORTED_FORMAT
    assert detail in failure.detail
    assert "JPEG, PNG, WebP, GIF, AVIF" in failure.detail


@pytest.mark.parametrize("file_format", ["BMP", "TIFF", "ICO", "JPEG2000", "PPM", "TGA"])
def test_formats_pillow_could_read_are_still_refused(file_format: str) -> None:
    data = files.encoded(Image.new("RGB", (32, 32)), file_format)
    assert refusal(data).reason == Reason.UNSUPPORTED_FORMAT


def test_an_empty_body_is_its_own_reason() -> None:
    assert refusal(b"").reason == Reason.EMPTY_BODY


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_pixel_limit_is_exact(file_format: str) -> None:
    data = files.encoded(Image.new("RGB", (40, 30)), file_format)
    assert open_source(data, 1200).size == (40, 30)
    failure = refusal(data, 1199)
    assert failure.reason == Reason.TOO_MANY_PIXELS
    assert failure.detail == "the image has 40x30 = 1200 pixels; the limit is 1199"


def test_pillow_is_left_with_safe_settings() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert Image.MAX_IMAGE_PIXELS is not None
    assert 2 * Image.MAX_IMAGE_PIXELS == HIGHEST_MAX_PIXELS
    assert AvifImagePlugin.DEFAULT_MAX_THREADS == 1
    assert features.check("avif")
    assert features.check("webp")
