"""What HEIC files cost is read from their boxes and bitstreams, before a decoder sees them."""

import struct

import pytest

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import Source, open_source
from imgrelay_dagster.relay.imaging.heic import MAX_UNITS, read_heic
from imgrelay_dagster.relay.imaging.hevc import configured_units
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import heic_files as heics
from tests.support import picture_files as files
from tests.support.avif_files import with_stated_size

LIMIT = 50_000_000
TILE = heics.heic((heics.TILE, heics.TILE))


@pytest.mark.parametrize(("chroma", "number"), [(420, 1), (422, 2), (444, 3)])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_samples_of_a_file(depth: int, chroma: int, number: int, mode: str) -> None:
    file = read_heic(heics.heic((128, 96), depth=depth, chroma=chroma, mode=mode))
    assert (file.size, file.coded_pixels) == ((128, 96), 128 * 96)
    assert (file.depth, file.chroma, file.has_alpha) == (depth, number, mode == "RGBA")


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (333, 17), (641, 481)])
def test_blocks_that_stand_out_are_not_counted(size: tuple[int, int]) -> None:
    file = read_heic(heics.heic(size))
    assert file.size is not None
    assert file.coded_pixels == file.size[0] * file.size[1]


def test_the_tiles_of_a_grid_are_counted() -> None:
    data = heics.grid(TILE, (300, 200))
    file = read_heic(data)
    assert (file.size, file.coded_pixels) == ((300, 200), 300 * 200)
    image, tile = open_source(data, 60_000), open_source(TILE, LIMIT)
    assert image.size == (300, 200)
    assert files.mean_difference(image.crop((128, 0, 256, 128)), tile) < 3
    with pytest.raises(EntryFailure, match="60000 pixels; the limit is 59999"):
        open_source(data, 59_999)


def test_tiles_that_are_larger_than_stated_are_refused() -> None:
    large = heics.heic((512, 512))
    data = heics.grid(large, (300, 200))
    with pytest.raises(EntryFailure, match="states 128x128 pixels, its bitstream has 512x512") as caught:
        Source.inspect(data, LIMIT)
    assert caught.value.reason is Reason.CORRUPT_IMAGE


def test_a_bitstream_that_is_larger_than_stated_is_refused() -> None:
    with pytest.raises(EntryFailure, match="states 64x48 pixels, its bitstream has 640x480") as caught:
        Source.inspect(with_stated_size(heics.heic((640, 480)), (64, 48)), LIMIT)
    assert caught.value.reason is Reason.CORRUPT_IMAGE


def test_parameters_beside_the_pixels_are_read() -> None:
    """Those of another picture, which is larger, come with the pixels."""
    large = heics.heic((640, 480))
    units = b"".join(struct.pack(">I", len(unit)) + unit for unit in configured_units(heics.configuration(large)))
    data = heics.still(heics.configuration(TILE), units + heics.pixel_data(large), (heics.TILE, heics.TILE))
    with pytest.raises(EntryFailure, match="states 128x128 pixels, its bitstream has 640x480"):
        Source.inspect(data, LIMIT)
    same = heics.still(heics.configuration(TILE), heics.pixel_data(TILE), (heics.TILE, heics.TILE))
    assert open_source(same, LIMIT).size == (heics.TILE, heics.TILE)


@pytest.mark.parametrize(("depth", "stated"), [(10, 8), (8, 10)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_another_depth_than_stated_is_refused(depth: int, stated: int, mode: str) -> None:
    data = heics.with_stated_depth(heics.heic((128, 128), depth=depth, chroma=444, mode=mode), stated)
    with pytest.raises(EntryFailure, match=f"states {stated} bits a sample, its bitstream has {depth}") as caught:
        Source.inspect(data, LIMIT)
    assert caught.value.reason is Reason.CORRUPT_IMAGE


def test_deep_samples_that_the_boxes_hide_count_for_the_memory() -> None:
    """The decoder configuration lies behind the first 64 KiB."""
    data = heics.heic((128, 128), depth=10, chroma=444)
    at = data.index(b"meta") - 4
    far = data[:at] + struct.pack(">I4s", 100_008, b"free") + bytes(100_000) + data[at:]
    assert Source.inspect(far, LIMIT).cost.pixel_memory == Source.inspect(data, LIMIT).cost.pixel_memory


def test_a_file_with_more_units_than_a_picture_needs_is_refused() -> None:
    empty_units = bytes(4 * MAX_UNITS)
    data = heics.still(heics.configuration(TILE), empty_units, (heics.TILE, heics.TILE))
    with pytest.raises(EntryFailure, match="units of bitstreams") as caught:
        Source.inspect(data, LIMIT)
    assert caught.value.reason is Reason.TOO_COSTLY


def test_every_cut_off_file_is_corrupt() -> None:
    for end in range(20, len(TILE) - 1, 7):
        with pytest.raises(EntryFailure) as caught:
            open_source(TILE[:end], LIMIT)
        assert caught.value.reason is Reason.CORRUPT_IMAGE
