"""Which page of a TIFF is the picture, and raw files of cameras."""

import struct

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import open_source
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files
from tests.support.tiff_files import THUMBNAIL, Directory, tiff

LIMIT = 1_000_000
PICTURE = Image.new("RGB", (64, 48), (200, 60, 40))
SMALL = Image.new("RGB", (16, 12), (40, 60, 200))
THUMBNAIL_PAGE = Directory(SMALL, THUMBNAIL)
DNG_VERSION, SENSOR_DATA = {50706: 0x01040000}, {262: 32803}


def color(data: bytes) -> tuple[tuple[int, int], object]:
    image = open_source(data, LIMIT)
    return image.size, image.getpixel((1, 1))


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize(
    "pages",
    [
        [Directory(PICTURE)],
        [Directory(PICTURE), THUMBNAIL_PAGE],
        [THUMBNAIL_PAGE, Directory(PICTURE)],
        [THUMBNAIL_PAGE, THUMBNAIL_PAGE, Directory(PICTURE), Directory(SMALL)],
        [Directory(PICTURE, below=[THUMBNAIL_PAGE])],
        [Directory(PICTURE, THUMBNAIL), Directory(SMALL, THUMBNAIL)],
        [Directory(PICTURE, THUMBNAIL)],
    ],
)
def test_the_picture_is_the_first_page_that_is_no_thumbnail(pages: list[Directory], order: str, big: bool) -> None:
    assert color(tiff(pages, big=big, order=order)) == ((64, 48), (200, 60, 40))


def test_a_big_tiff_of_pillow() -> None:
    data = files.encoded(PICTURE, "TIFF", big_tiff=True)
    assert data[2] == 43
    assert color(data) == ((64, 48), (200, 60, 40))


@pytest.mark.parametrize("shade", [(0x49, 0x49, 0x49), (0x43, 0x52, 0x02)])
def test_pixels_behind_the_header_are_no_mark_of_a_camera(shade: tuple[int, int, int]) -> None:
    data = tiff([Directory(Image.new("RGB", (64, 48), shade))])
    assert data[8:11] == bytes(shade)
    assert color(data) == ((64, 48), shade)


@pytest.mark.parametrize("big", [False, True])
def test_a_chain_of_pages_that_breaks_off_behind_a_thumbnail(big: bool) -> None:
    data = bytearray(tiff([THUMBNAIL_PAGE], big=big))
    link = struct.pack("<Q", 2**64 - 1) if big else struct.pack("<I", len(data) + 100)
    data[-len(link) :] = link
    assert color(bytes(data)) == ((16, 12), (40, 60, 200))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (tiff([Directory(SMALL, THUMBNAIL | DNG_VERSION, [Directory(PICTURE, SENSOR_DATA)])]), "(DNG)"),
        (tiff([Directory(SMALL, THUMBNAIL, [Directory(PICTURE, SENSOR_DATA)])], order=">"), "a camera raw picture;"),
        (tiff([Directory(SMALL, THUMBNAIL, [Directory(PICTURE)]), Directory(SMALL)]), "a camera raw picture;"),
        (tiff([Directory(PICTURE, SENSOR_DATA)]), "a camera raw picture;"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(400), "(CR2)"),
        (b"II*\0\x10\0\0\0IIII\0waR" + bytes(400), "(IIQ)"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "(CR3)"),
        (b"FUJIFILMCCD-RAW 0201", "(RAF)"),
        (b"IIRO\x08\0\0\0", "(ORF)"),
        (b"IIU\0\x08\0\0\0", "(RW2)"),
    ],
)
def test_a_raw_file_is_named_and_its_thumbnail_is_not_relayed(data: bytes, name: str) -> None:
    with pytest.raises(EntryFailure) as caught:
        open_source(data, LIMIT)
    assert caught.value.reason is Reason.UNSUPPORTED_FORMAT
    assert "a camera raw picture" in str(caught.value.detail)
    assert name in str(caught.value.detail)
