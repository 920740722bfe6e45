"""Pictures look as in a browser. The expected values are what Chromium 156 paints on an sRGB canvas."""

import struct
import zlib

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import open_source
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import damaged_pictures as parts
from tests.support import picture_files as files
from tests.support.damaged_pictures import BLUE, RED

LIMIT = 1_000_000
LINEAR = files.rgb_profile(gamma=1.0)
HALF = len(LINEAR) // 2
JPEG = files.encoded(parts.two_colors(), "JPEG", quality=95, subsampling=0)
UPRIGHT, TURNED = (40, 24), (24, 40)


def exif(value: int, kind: int = 3, count: int = 1) -> bytes:
    return parts.jpeg_segment(0xE1, b"Exif\0\0" + parts.exif_orientation(value, kind, count))


XMP = parts.jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + parts.xmp_orientation(6))
PNG_XMP = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + parts.xmp_orientation(6))
EXIF_6 = parts.exif_orientation(6)
RAW_TEXT = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n%8d\n%s\n" % (len(EXIF_6), EXIF_6.hex().encode()))


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (parts.with_segments(JPEG, exif(6)), TURNED),
        (parts.with_segments(JPEG, exif(6), behind_frame=True), TURNED),
        (parts.with_segments(JPEG, exif(6), exif(1)), TURNED),
        (parts.with_segments(JPEG, exif(1), exif(6)), UPRIGHT),
        (parts.with_segments(JPEG, exif(6, kind=4)), UPRIGHT),
        (parts.with_segments(JPEG, exif(6, count=2)), UPRIGHT),
        (parts.with_segments(JPEG, exif(9)), UPRIGHT),
        (parts.with_segments(JPEG, XMP), UPRIGHT),
        (parts.with_segments(JPEG, exif(1), XMP), UPRIGHT),
        (parts.png_with((b"eXIf", EXIF_6)), TURNED),
        (parts.png_with((b"eXIf", EXIF_6), before=b"IEND"), UPRIGHT),
        (parts.png_with((b"zTXt", RAW_TEXT)), UPRIGHT),
        (parts.png_with(PNG_XMP), UPRIGHT),
        (files.encoded(parts.two_colors(), "WEBP", xmp=parts.xmp_orientation(6)), UPRIGHT),
        (files.encoded(parts.two_colors(), "AVIF", xmp=parts.xmp_orientation(6)), UPRIGHT),
    ],
)
def test_orientation_comes_from_the_first_exif_alone(data: bytes, size: tuple[int, int]) -> None:
    assert open_source(data, LIMIT).size == size


@pytest.mark.parametrize(
    ("segments", "applied"),
    [
        ([parts.icc_segment(LINEAR)], True),
        ([parts.icc_segment(LINEAR)] * 2, True),
        ([parts.icc_segment(LINEAR), parts.icc_segment(files.rgb_profile(gamma=3.0))], True),
        ([parts.icc_segment(LINEAR[HALF:], 2, 2), parts.icc_segment(LINEAR[:HALF], 1, 2)], True),
        ([parts.icc_segment(LINEAR[:HALF], 1, 2)], False),
        ([parts.icc_segment(b"")], False),
        ([parts.icc_segment(LINEAR[:HALF], 0, 2), parts.icc_segment(LINEAR[HALF:], 1, 2)], False),
    ],
)
@pytest.mark.parametrize("behind_frame", [False, True])
def test_icc_profile_of_a_jpeg(segments: list[bytes], applied: bool, behind_frame: bool) -> None:
    image = open_source(parts.with_segments(JPEG, *segments, behind_frame=behind_frame), LIMIT)
    assert_close(image, (3, 3), (112, 133, 229) if applied else (41, 60, 199))


FRAME = struct.pack(">IIIIIHHBB", 0, 40, 24, 0, 0, 1, 10, 0, 0)
GAMA = (b"gAMA", struct.pack(">I", 100_000))
DISPLAY_P3 = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
PROFILE = (b"iCCP", b"name\0\0" + zlib.compress(LINEAR))


@pytest.mark.parametrize(
    ("chunks", "red"),
    [
        ([GAMA], (229, 133, 110)),
        ([GAMA, DISPLAY_P3], (244, 127, 104)),
        ([DISPLAY_P3], RED),
        ([(b"gAMA", struct.pack(">I", 45_455))], RED),
        ([(b"gAMA", struct.pack(">I", 45_455)), DISPLAY_P3], (219, 37, 13)),
        ([(b"gAMA", struct.pack(">I", 50_000))], (206, 67, 43)),
        ([(b"gAMA", bytes(4))], RED),
        ([GAMA, (b"cHRM", bytes(32))], RED),
        ([(b"sRGB", b"\0"), GAMA], RED),
        ([PROFILE, (b"sRGB", b"\0")], (229, 133, 110)),
        ([PROFILE, (b"gAMA", struct.pack(">I", 45_455))], (229, 133, 110)),
        ([(b"cICP", bytes((12, 13, 0, 1))), PROFILE], (217, 42, 23)),
        ([(b"cICP", bytes((9, 1, 0, 1)))], (244, 0, 0)),
        ([(b"cICP", bytes((1, 8, 0, 1)))], (229, 133, 110)),
        ([(b"cICP", bytes((2, 8, 0, 1)))], RED),
        ([(b"cICP", bytes((9, 18, 0, 1)))], (230, 0, 8)),
    ],
)
def test_colors_of_a_png(chunks: list[parts.Chunk], red: tuple[int, int, int]) -> None:
    assert_close(open_source(parts.png_with(*chunks), LIMIT), (36, 20), red)


@pytest.mark.parametrize(
    ("code", "red"),
    [
        ((1, 13), (200, 61, 40)),
        ((2, 2), (200, 61, 40)),
        ((1, 1), (200, 61, 40)),
        ((12, 13), (217, 43, 23)),
        ((9, 1), (247, 0, 23)),
        ((5, 6), (204, 61, 40)),
        ((1, 8), (229, 134, 110)),
        ((1, 18), (183, 47, 29)),
        ((9, 18), (230, 0, 8)),
    ],
)
def test_code_points_of_an_avif(code: tuple[int, int], red: tuple[int, int, int]) -> None:
    assert_close(open_source(parts.avif_with_code_points(*code), LIMIT), (60, 44), red)


def test_pq_rises_evenly_to_white() -> None:
    ramp = Image.frombytes("L", (256, 1), bytes(range(256))).convert("RGB")
    image = open_source(parts.png_with((b"cICP", bytes((9, 16, 0, 1))), image=ramp), LIMIT)
    grays = [image.getpixel((level, 0))[1] for level in range(256)]
    assert grays == sorted(grays)
    chromium = {64: 30, 96: 70, 128: 132, 148: 187, 160: 213, 172: 231, 184: 246, 196: 255}
    assert all(abs(grays[level] - gray) <= 4 for level, gray in chromium.items())


@pytest.mark.parametrize(
    "data",
    [
        parts.gif((40, 24), (20, 12), (4, 6)),
        parts.webp_animation((40, 24), (20, 12), (4, 6)),
        parts.apng([(20, 12, 4, 6, RED), (40, 24, 0, 0, BLUE)]),
    ],
)
def test_outside_a_smaller_first_frame_is_transparent(data: bytes) -> None:
    image = open_source(data, LIMIT)
    expected = Image.new("RGBA", (40, 24), (0, 0, 0, 0))
    expected.paste((*RED, 255), (4, 6, 24, 18))
    assert image.tobytes() == expected.tobytes()


def test_hidden_default_image_of_an_apng_is_not_shown() -> None:
    image = open_source(parts.apng([(40, 24, 0, 0, RED), (40, 24, 0, 0, BLUE)]), LIMIT)
    assert files.pixels(image) == [RED] * 960


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 4}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_needs_its_pixels_but_no_end(options: dict[str, object], mode: str) -> None:
    data = files.encoded(files.noise((160, 120)).convert(mode), "JPEG", quality=90, **options)
    whole = open_source(data, LIMIT).tobytes()
    for sound in (data[:-2], data[:-1], data[:-2] + bytes(50), data + b"behind the end"):
        assert open_source(sound, LIMIT).tobytes() == whole
    for missing in (1, 5, 30, 400):
        for end in (b"", b"\xff\xd9"):
            with pytest.raises(EntryFailure) as caught:
                open_source(data[: -2 - missing] + end, LIMIT)
            assert caught.value.reason is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("marker", [b"\xff\xdb", b"\xff\xc4", b"\xff\xda"])
@pytest.mark.parametrize("stray", [b"\0", b"\0\xff\0", b"stray" * 400])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_stray_bytes_before_a_marker_of_a_jpeg(options: dict[str, object], stray: bytes, marker: bytes) -> None:
    data = files.encoded(files.noise((160, 120)), "JPEG", quality=90, icc_profile=LINEAR, **options)
    damaged = data.replace(marker, stray + marker, 1)
    assert open_source(damaged, LIMIT).tobytes() == open_source(data, LIMIT).tobytes()
    for cut in (damaged[:-100], damaged[:-100] + b"\xff\xd9"):
        with pytest.raises(EntryFailure) as caught:
            open_source(cut, LIMIT)
        assert caught.value.reason is Reason.CORRUPT_IMAGE


JPEGS_OF_EACH_DECODER = [
    *(files.encoded(files.noise((160, 120)), "JPEG", **options) for options in ({}, {"progressive": True})),
    files.encoded(files.noise((160, 120)).convert("L"), "JPEG"),
    files.encoded(files.noise((160, 120)).convert("CMYK"), "JPEG"),
    *parts.ARITHMETIC_JPEGS,
]


@pytest.mark.parametrize("data", JPEGS_OF_EACH_DECODER)
@pytest.mark.parametrize("second", [{"size": (30, 20)}, {"size": (300, 200)}])
def test_the_first_of_two_jpegs_needs_no_end(data: bytes, second: dict[str, tuple[int, int]]) -> None:
    """Of the two, Chromium shows the first one, whichever is larger."""
    whole = open_source(data, LIMIT).tobytes()
    behind = files.encoded(files.noise(second["size"]), "JPEG")
    for sound in (data + behind, data[:-2] + behind, data[:-2] + behind[:-2] + behind):
        assert open_source(sound, LIMIT).tobytes() == whole
    with pytest.raises(EntryFailure) as caught:
        open_source(data[:-100] + behind, LIMIT)
    assert caught.value.reason is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("count", [1, 2])
def test_a_second_start_in_front_of_the_first_scan_is_refused(count: int) -> None:
    """Chromium, libjpeg-turbo and Pillow refuse it, too."""
    data = files.encoded(files.noise((160, 120)), "JPEG")
    for at in (2, 20, data.index(b"\xff\xda")):
        with pytest.raises(EntryFailure) as caught:
            open_source(data[:at] + b"\xff\xd8" * count + data[at:], LIMIT)
        assert caught.value.reason is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("data", parts.ARITHMETIC_JPEGS)
def test_arithmetic_jpeg_needs_its_pixels_but_no_end(data: bytes) -> None:
    whole = open_source(data, LIMIT).tobytes()
    for sound in (data[:-2], data[:-2] + bytes(50), data + b"behind the end"):
        assert open_source(sound, LIMIT).tobytes() == whole
    for missing in (10, 30, 50, 60, 100):
        with pytest.raises(EntryFailure) as caught:
            open_source(data[: -2 - missing], LIMIT)
        assert caught.value.reason is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize(
    "data",
    [
        parts.with_broken_checksum(parts.png_with((b"pHYs", bytes(9))), b"pHYs"),
        parts.with_broken_checksum(parts.png_with(GAMA), b"gAMA"),
        parts.with_broken_checksum(parts.png_with(PROFILE), b"iCCP"),
        parts.with_broken_checksum(parts.png_with(), b"IDAT"),
        parts.with_broken_checksum(parts.png_with(), b"IEND"),
        parts.png_with((b"zTXt", b"name\0\0" + zlib.compress(bytes(2 << 20)))),
        parts.png_with((b"iCCP", b"name\0\0" + zlib.compress(bytes(5 << 20)))),
        parts.png_with()[:-12],
        parts.png_with((b"tRNS", b"\0")),
        parts.png_with((b"acTL", struct.pack(">II", 3, 0))),
        parts.with_broken_checksum(
            parts.png_with((b"acTL", bytes((0, 0, 0, 1, 0, 0, 0, 0))), (b"fcTL", FRAME)), b"fcTL"
        ),
        parts.png_with((b"tRNS", b"\xff" * 300), image=parts.two_colors().quantize(8)),
    ],
)
def test_png_damaged_outside_its_pixels_is_shown(data: bytes) -> None:
    image = open_source(data, LIMIT)
    assert image.convert("RGB").tobytes() == parts.two_colors().tobytes()
    assert image.getextrema()[3:] in ((), ((255, 255),))


def test_apng_cut_before_its_first_frame_is_corrupt() -> None:
    data = parts.apng([(40, 24, 0, 0, RED), (40, 24, 0, 0, BLUE)])
    for end in (data.index(b"fcTL") - 4, data.index(b"fcTL") + 9, data.index(b"fdAT") + 9):
        with pytest.raises(EntryFailure) as caught:
            open_source(data[:end], LIMIT)
        assert caught.value.reason is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("interlaced", [False, True])
def test_png_needs_its_pixels_but_no_checksum(interlaced: bool) -> None:
    size, rows = (5, 3), b"".join(b"\0" + bytes(range(15 * y, 15 * y + 15)) for y in range(3))
    if interlaced:
        rows = b"".join(b"\0" + bytes(3 * width) for width in (1, 1, 1, 3, 2, 2, 5))  # the rows of Adam7's passes
    packed = zlib.compress(rows)
    header = (b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, interlaced))

    def png(pixels: bytes) -> bytes:
        return parts.png_of_chunks([header, (b"IDAT", pixels), (b"IEND", b"")])

    whole = open_source(png(packed), LIMIT).tobytes()
    for sound in (packed[:-4] + b"none", packed[:-4], packed + b"more", zlib.compress(rows + b"more")):
        assert open_source(png(sound), LIMIT).tobytes() == whole
    with pytest.raises(EntryFailure, match="end before all pixels"):
        open_source(png(zlib.compress(rows[:-1])), LIMIT)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("depth", "color"), [(1, 0), (2, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (8, 4), (8, 6)])
@pytest.mark.parametrize("level", [0, 1, 255])
def test_png_whose_stream_is_complete_needs_all_rows(interlaced: bool, depth: int, color: int, level: int) -> None:
    size, samples = (5, 4), {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    passes = ((1, 1), (1, 1), (1, 1), (3, 1), (2, 2), (5, 2)) if interlaced else ((5, 4),)  # columns, rows
    widths = [columns for columns, rows in passes for _ in range(rows)]
    rows = [b"\0" + bytes([level]) * ((width * samples * depth + 7) // 8) for width in widths]
    header = (b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, interlaced))

    def png(count: int) -> bytes:
        pixels = zlib.compress(b"".join(rows[:count]))
        return parts.png_of_chunks([header, (b"PLTE", bytes(768)), (b"IDAT", pixels), (b"IEND", b"")])

    assert open_source(png(len(rows)), LIMIT).size == size
    for count in range(1, len(rows)):
        with pytest.raises(EntryFailure, match="end before all pixels") as caught:
            open_source(png(count), LIMIT)
        assert caught.value.reason is Reason.CORRUPT_IMAGE


def assert_close(image: Image.Image, at: tuple[int, int], color: tuple[int, ...]) -> None:
    found = image.getpixel(at)
    assert isinstance(found, tuple)
    assert max(abs(a - b) for a, b in zip(found[:3], color, strict=True)) <= 3, found
