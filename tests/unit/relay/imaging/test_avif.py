"""What AVIF files cost is read from their boxes and bitstreams, before a decoder sees them."""

from collections.abc import Callable

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.avif import read_avif
from imgrelay_dagster.relay.imaging.decode import Source, open_source
from imgrelay_dagster.relay.imaging.isobmff import MAX_BOXES, MAX_ENTRIES
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files
from tests.support.avif_files import (
    avif,
    with_associations,
    with_items,
    with_properties,
    with_references,
    with_stated_size,
)

LIMIT = 50_000_000


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (333, 17), (1920, 1080)])
def test_size_and_coded_pixels_of_a_still_picture(size: tuple[int, int]) -> None:
    for picture in (files.noise(size), files.noise(size, mode="RGBA"), files.noise(size).convert("L")):
        file = read_avif(files.encoded(picture, "AVIF", speed=10))
        assert (file.size, file.coded_pixels, file.is_simple) == (size, size[0] * size[1], True)


def test_an_image_sequence_is_not_simple() -> None:
    frames = [files.noise((64, 48), seed) for seed in range(3)]
    file = read_avif(files.encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:]))
    assert (file.size, file.coded_pixels, file.is_simple) == ((64, 48), 64 * 48, False)


@pytest.mark.parametrize(
    ("make", "number"),
    [
        (with_items, MAX_ENTRIES),
        (with_properties, MAX_BOXES),
        (with_associations, MAX_ENTRIES),
        (with_references, MAX_ENTRIES),
    ],
)
def test_a_file_with_more_entries_than_a_picture_needs_is_refused(make: Callable[[int], bytes], number: int) -> None:
    read_avif(make(number // 2))
    with pytest.raises(EntryFailure) as caught:
        open_source(make(number + 250), LIMIT)
    assert caught.value.reason is Reason.TOO_COSTLY


def test_the_pixels_of_the_bitstream_count_where_the_container_states_fewer() -> None:
    data = with_stated_size(avif((640, 480)), (64, 48))
    with pytest.raises(EntryFailure) as caught:
        open_source(data, 640 * 480 - 1)
    assert caught.value.reason is Reason.TOO_MANY_PIXELS
    assert "307200" in caught.value.detail


def test_the_pixels_of_the_container_count_where_the_bitstream_has_fewer() -> None:
    with pytest.raises(EntryFailure) as caught:
        open_source(with_stated_size(avif((64, 48)), (16384, 16384)), LIMIT)
    assert caught.value.reason is Reason.TOO_MANY_PIXELS


def test_every_cut_off_file_is_corrupt() -> None:
    data = avif()
    for end in range(20, len(data) - 1, 7):
        with pytest.raises(EntryFailure) as caught:
            open_source(data[:end], LIMIT)
        assert caught.value.reason is Reason.CORRUPT_IMAGE


def test_small_stills_are_decoded_in_this_process_and_others_in_another() -> None:
    assert Source.inspect(avif((1000, 1000)), LIMIT).cost.is_bounded
    assert not Source.inspect(avif((2500, 2000)), LIMIT).cost.is_bounded
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    sequence = files.encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    assert not Source.inspect(sequence, LIMIT).cost.is_bounded
