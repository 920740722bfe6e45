"""Files with too many scans, segments, chunks or blocks are refused before they are decoded."""

import random
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.complexity import MAX_PARTS, MAX_SCANS, MAX_SEGMENTS, MAX_STRAY_BYTES
from imgrelay_dagster.relay.imaging.decode import open_source
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files

LIMIT = 50_000_000
SCAN, END = b"\xff\xda", b"\xff\xd9"
PROGRESSIVE = files.encoded(files.noise((64, 48)), "JPEG", progressive=True)
SCANS = PROGRESSIVE.count(SCAN)


def scans(number: int) -> bytes:
    """Return a progressive JPEG with this number of scans; the last one is repeated."""
    begins, ends = PROGRESSIVE.rindex(SCAN), PROGRESSIVE.rindex(END)
    return PROGRESSIVE[:ends] + PROGRESSIVE[begins:ends] * (number - SCANS) + END


def repeated_color_scans(number: int) -> bytes:
    """Return a baseline JPEG with one scan per colour; the scan of the last colour is repeated."""
    plain = files.encoded(files.noise((64, 48)), "JPEG", subsampling=0)
    begins, ends = plain.rindex(SCAN), plain.rindex(END)
    blank = [SCAN + b"\x00\x08\x01" + bytes([*color, 0, 63, 0]) + bytes(1_300) for color in _COLOR_SCANS]
    assert plain[begins + 4] == 3
    return plain[:begins] + blank[0] + blank[1] + blank[2] * (number - 2) + plain[ends:]


_COLOR_SCANS = ((1, 0x00), (2, 0x11), (3, 0x11))


def segments(number: int) -> bytes:
    """Return a JPEG with this number of comments before its other segments."""
    return PROGRESSIVE[:2] + b"\xff\xfe\x00\x02" * number + PROGRESSIVE[2:]


def chunks(number: int) -> bytes:
    """Return a PNG with this number of extra chunks."""
    extra = files.png_chunk(b"teSt", b"") * number
    plain = files.encoded(files.noise((64, 48)), "PNG")
    at = plain.index(b"IDAT") - 4
    return plain[:at] + extra + plain[at:]


def split_pixels(number: int) -> bytes:
    """Return a PNG whose pixels are split into this number of chunks of one byte."""
    rows = zlib.compress(bytes((8 * 3 + 1) * 8), 0).ljust(number, b"\0")
    split = b"".join(files.png_chunk(b"IDAT", rows[at : at + 1]) for at in range(number))
    plain = files.encoded(Image.new("RGB", (8, 8)), "PNG")
    at = plain.index(b"IDAT") - 4
    return plain[:at] + split + files.png_chunk(b"IEND", b"")


def blocks(number: int) -> bytes:
    """Return a GIF with a comment of this number of one-byte blocks before its first frame."""
    plain = files.encoded(Image.new("P", (8, 8)), "GIF")
    at = plain.index(b",")
    return plain[:at] + b"!\xfe" + b"\x01x" * number + b"\0" + plain[at:]


@pytest.mark.parametrize(
    ("make", "limit", "message"),
    [
        (scans, MAX_SCANS, "more than 249 further scans"),
        (repeated_color_scans, MAX_SCANS, "more than 249 further scans"),
        (segments, MAX_SEGMENTS, "more than 2,000 segments before its pixels"),
        (chunks, MAX_PARTS, "more than 100,000 chunks"),
        (split_pixels, MAX_PARTS, "more than 100,000 chunks"),
        (blocks, MAX_PARTS, "more than 100,000 blocks before its first frame"),
    ],
)
def test_only_files_with_too_many_parts_are_refused(make: Callable[[int], bytes], limit: int, message: str) -> None:
    assert open_source(make(min(limit, 1_000)), LIMIT).size in ((64, 48), (8, 8))
    for number in (limit + 1, 20 * limit):
        with pytest.raises(EntryFailure) as caught:
            open_source(make(number), LIMIT)
        assert caught.value.reason is Reason.CORRUPT_IMAGE
        assert message in caught.value.detail


def test_scan_markers_in_embedded_and_appended_data_do_not_count() -> None:
    """Embedded data is a preview, for example; appended data is a phone's video."""
    embedded = b"\xff\xe5\xff\xff" + SCAN * (0xFFFD // 2) + b"\0"
    for data in (PROGRESSIVE[:2] + embedded + PROGRESSIVE[2:], PROGRESSIVE + SCAN * 10_000):
        assert open_source(data, LIMIT).tobytes() == open_source(PROGRESSIVE, LIMIT).tobytes()


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\x00", b"\xff\xd0", b"\x00", b"x"])
def test_filler_bytes_are_skipped_in_linear_time(filler: bytes) -> None:
    """The search never restarts at each filler byte, and more than a megabyte is refused."""
    begins, end = PROGRESSIVE.index(SCAN), PROGRESSIVE.rindex(END)
    with suppress(EntryFailure):
        open_source(PROGRESSIVE[:end] + filler * 1_000_000, LIMIT)
    with suppress(EntryFailure):
        open_source(PROGRESSIVE[:begins] + filler * 1_000, LIMIT)
    with pytest.raises(EntryFailure, match="stray bytes before its pixels"):
        open_source(PROGRESSIVE[:begins] + filler * (MAX_STRAY_BYTES + 2) + PROGRESSIVE[begins:], LIMIT)


def test_gif_with_too_many_stray_bytes_is_refused() -> None:
    plain = files.encoded(Image.new("P", (8, 8)), "GIF")
    at = plain.index(b",")
    with pytest.raises(EntryFailure, match="more than 100,000 blocks before its first frame"):
        open_source(plain[:at] + bytes(MAX_PARTS + 1) + plain[at:], LIMIT)


def test_damaged_files_raise_only_entry_failures() -> None:
    rng = random.Random(7)
    for original in (scans(300), segments(5), chunks(5), blocks(300)):
        for _ in range(200):
            data = bytearray(original[: rng.randrange(4, len(original))])
            for _ in range(3):
                data[rng.randrange(4, len(data)) if len(data) > 4 else -1] = rng.randrange(256)
            with suppress(EntryFailure):  # any other error fails the test
                open_source(bytes(data), LIMIT)
