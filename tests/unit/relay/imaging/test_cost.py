"""What a picture may cost in memory: it follows `download.max_pixels`, and a picture that takes more is refused."""

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.cost import PERMITTED_BYTES, check_memory, estimate_cost
from imgrelay_dagster.relay.imaging.decode import Source
from imgrelay_dagster.relay.imaging.formats.signatures import SourceFormat
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files

DEFAULT = 50_000_000
LARGE = (1000, 20_000)


@pytest.mark.parametrize("source_format", SourceFormat)
def test_a_picture_of_a_third_of_the_pixels_is_permitted_in_every_format(source_format: SourceFormat) -> None:
    cost = estimate_cost(b"\xff\xda" * 5, source_format, LARGE) if source_format != SourceFormat.AVIF else None
    data = files.encoded(Image.new("RGBA", (40, 30)), "AVIF", speed=10)
    check_memory(cost or estimate_cost(data, source_format, LARGE), 3 * LARGE[0] * LARGE[1])


@pytest.mark.parametrize("source_format", [SourceFormat.JPEG_2000, SourceFormat.JPEG_XL])
def test_a_decoder_that_holds_much_gets_fewer_pixels(source_format: SourceFormat) -> None:
    cost = estimate_cost(b"", source_format, (5000, 10_000))
    with pytest.raises(EntryFailure, match=r"download\.max_pixels 50000000") as caught:
        check_memory(cost, DEFAULT)
    assert caught.value.reason == Reason.TOO_COSTLY
    check_memory(cost, 3 * DEFAULT)


@pytest.mark.parametrize(("mode", "options"), [("RGB", {"progressive": True}), ("RGB", {}), ("L", {})])
def test_a_jpeg_of_all_permitted_pixels_is_permitted(mode: str, options: dict[str, object]) -> None:
    data = files.encoded(Image.new(mode, LARGE), "JPEG", **options)
    source = Source.inspect(data, LARGE[0] * LARGE[1])
    assert source.cost.pixel_memory <= PERMITTED_BYTES * LARGE[0] * LARGE[1]


def test_a_jpeg_with_several_scans_of_four_colours_counts_all_coefficients() -> None:
    data = files.encoded(Image.new("CMYK", LARGE), "JPEG", progressive=True)
    with pytest.raises(EntryFailure, match="takes 228 MiB; the limit is 200 MiB"):
        Source.inspect(data, LARGE[0] * LARGE[1])


@pytest.mark.parametrize(
    ("options", "mode", "bytes_per_pixel"),
    [
        ({"subsampling": "4:2:0"}, "RGB", 7.5),
        ({"subsampling": "4:4:4"}, "RGB", 9),
        ({"subsampling": "4:2:0"}, "RGBA", 10.5),
        ({"subsampling": "4:4:4"}, "RGBA", 12),
    ],
)
def test_an_avif_counts_its_samples(options: dict[str, object], mode: str, bytes_per_pixel: float) -> None:
    data = files.encoded(files.noise((40, 30), mode=mode), "AVIF", speed=10, **options)
    assert estimate_cost(data, SourceFormat.AVIF, (40, 30)).pixel_memory == bytes_per_pixel * 1200


@pytest.mark.parametrize(
    ("mode", "chroma", "bytes_per_pixel"),
    [
        *(("RGB", 420, 9), ("RGB", 444, 9), ("RGB;16", 420, 9), ("RGB;16", 422, 17), ("RGB;16", 444, 17)),
        *(("RGBA", 420, 12), ("RGBA;16", 420, 20)),
    ],
)
def test_a_heic_counts_bits_and_chroma(mode: str, chroma: int, bytes_per_pixel: float) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    samples = len(mode.partition(";")[0]) * (2 if "16" in mode else 1)
    file = pillow_heif.from_bytes(mode, (64, 64), bytes(64 * 64 * samples))
    data = files.saved(file.save, quality=50, chroma=chroma)
    assert estimate_cost(data, SourceFormat.HEIC, (64, 64)).pixel_memory == bytes_per_pixel * 64 * 64


def test_a_low_limit_of_pixels_leaves_memory_for_a_small_picture() -> None:
    source = Source.inspect(files.encoded(Image.new("RGBA", (40, 30)), "WEBP"), 1200)
    assert source.pixels == 1200
