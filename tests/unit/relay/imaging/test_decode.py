"""Decoding: every supported file becomes correct upright pixels."""

import io
import time

import pytest
from PIL import AvifImagePlugin, Image, ImageFile, features

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import HIGHEST_MAX_PIXELS, Source, open_source
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files
from tests.support.damaged_pictures import lossless_jpeg

LIMIT = 1_000_000


FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "AVIF"]


def refusal(data: bytes, max_pixels: int = LIMIT) -> EntryFailure:
    with pytest.raises(EntryFailure) as caught:
        open_source(data, max_pixels)
    return caught.value


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_decodes_to_rgb_without_metadata(file_format: str) -> None:
    picture = Image.new("RGB", (40, 30), (200, 40, 80))
    image = open_source(files.encoded(picture, file_format, comment="hello"), LIMIT)
    assert type(image) is Image.Image
    assert (image.mode, image.size, image.info) == ("RGB", (40, 30), {})
    assert files.largest_difference(image, [(200, 40, 80)] * 1200) <= (0 if file_format in ("PNG", "GIF") else 3)


def test_mpo_decodes_to_its_first_image() -> None:
    first, second = Image.new("RGB", (32, 16), "red"), Image.new("RGB", (64, 64), "blue")
    image = open_source(files.encoded(first, "MPO", save_all=True, append_images=[second]), LIMIT)
    assert files.largest_difference(image, [(255, 0, 0)] * 512) <= 2


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "AVIF", "PNG"])
def test_animation_decodes_to_its_first_frame(file_format: str) -> None:
    frames = [Image.new("RGB", (20, 10), name) for name in ("lime", "red", "blue")]
    data = files.encoded(frames[0], file_format, save_all=True, append_images=frames[1:], duration=50)
    assert files.largest_difference(open_source(data, LIMIT), [(0, 255, 0)] * 200) <= 6


def test_gif_of_100_000_frames_takes_the_time_of_one() -> None:
    single = files.encoded(Image.new("P", (8, 8), 3), "GIF")
    frame = single[single.index(b",") : -1]
    many = single[:-1] + frame * 100_000 + b";"
    started = time.process_time()
    image = open_source(many, LIMIT)
    opened = time.process_time()
    with Image.open(io.BytesIO(many)) as counted:
        assert counted.n_frames == 100_001
    counted_all = time.process_time()
    assert image.tobytes() == open_source(single, LIMIT).tobytes()
    assert 10 * (opened - started) < counted_all - opened


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
"""Rows of the upright image by EXIF orientation, given the stored rows `abc` and `def` (EXIF 2.3, 4.6.4)."""


LETTERS = {letter: (40 * at, 200 - 40 * at, 255 * (at % 2)) for at, letter in enumerate("abcdef")}


def stored_letters(block: int) -> Image.Image:
    image = Image.new("RGB", (3, 2))
    for at, letter in enumerate("abcdef"):
        image.putpixel((at % 3, at // 3), LETTERS[letter])
    return image.resize((3 * block, 2 * block), Image.Resampling.NEAREST)


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_every_exif_orientation_is_applied(file_format: str, orientation: int) -> None:
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


def test_progressive_and_gray_jpeg_decode() -> None:
    picture = files.noise((80, 60))
    progressive = open_source(files.encoded(picture, "JPEG", quality=95, subsampling=0, progressive=True), LIMIT)
    assert files.mean_difference(progressive, picture) < 2
    gray = open_source(files.encoded(picture.convert("L"), "JPEG", quality=95), LIMIT)
    assert files.mean_difference(gray, picture.convert("L").convert("RGB")) < 2


@pytest.mark.parametrize("orientation", [1, 6])
def test_jpeg_is_decoded_at_no_less_than_twice_the_target_size(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = files.encoded(files.noise((1601, 1200)), "JPEG", exif=exif)
    source = Source.inspect(data, 10 * LIMIT)
    requested: list[tuple[int, int]] = []

    def target_size(full: tuple[int, int]) -> tuple[int, int]:
        requested.append(full)
        return (200, 150) if orientation == 1 else (150, 200)

    small = source.decode(target_size)
    upright = (1601, 1200) if orientation == 1 else (1200, 1601)
    assert requested == [upright]
    assert small.full_size == upright
    assert sorted(small.image.size) == [300, 401]
    assert source.decode(lambda full: full).image.size == upright


@pytest.mark.parametrize("file_format", FORMATS)
def test_pixel_limit_is_exact(file_format: str) -> None:
    data = files.encoded(Image.new("RGB", (40, 30)), file_format)
    assert open_source(data, 1200).size == (40, 30)
    failure = refusal(data, 1199)
    assert failure.reason == Reason.TOO_MANY_PIXELS
    assert failure.detail == "the image has 40x30 = 1200 pixels; the limit is 1199"


def test_pillow_has_safe_settings() -> None:
    open_source(files.encoded(Image.new("RGB", (4, 3)), "PNG"), 12)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert Image.MAX_IMAGE_PIXELS is not None
    assert 2 * Image.MAX_IMAGE_PIXELS == HIGHEST_MAX_PIXELS
    assert AvifImagePlugin.DEFAULT_MAX_THREADS == 1
    assert features.check("avif")
    assert features.check("webp")


def test_lossless_jpeg_is_decoded_exactly() -> None:
    gray = Image.linear_gradient("L").resize((40, 30))
    assert open_source(lossless_jpeg(gray), 10**6).tobytes() == gray.convert("RGB").tobytes()
