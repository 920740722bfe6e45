"""Files of very many parts are refused before a decoder goes through them one by one."""

import random
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.complexity import MOST_JUNK, MOST_PARTS, MOST_SCANS, MOST_SEGMENTS
from imgrelay_dagster.relay.imaging.decode import open_source
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files

LIMIT = 50_000_000
SCAN, END = b"\xff\xda", b"\xff\xd9"
PROGRESSIVE = files.encoded(files.noise((64, 48)), "JPEG", progressive=True)
SCANS = PROGRESSIVE.count(SCAN)


def scans(number: int) -> bytes:
    """A progressive JPEG of so many scans: its last one again and again."""
    begins, ends = PROGRESSIVE.rindex(SCAN), PROGRESSIVE.rindex(END)
    return PROGRESSIVE[:ends] + PROGRESSIVE[begins:ends] * (number - SCANS) + END


def repeated_colour(number: int) -> bytes:
    """A JPEG that is not progressive and whose three colours come in scans of their own, the last one many times."""
    plain = files.encoded(files.noise((64, 48)), "JPEG", subsampling=0)
    begins, ends = plain.rindex(SCAN), plain.rindex(END)
    blank = [SCAN + b"\x00\x08\x01" + bytes([*colour, 0, 63, 0]) + bytes(12) for colour in _COLOURS]
    assert plain[begins + 4] == 3
    return plain[:begins] + blank[0] + blank[1] + blank[2] * (number - 2) + plain[ends:]


_COLOURS = ((1, 0x00), (2, 0x11), (3, 0x11))


def segments(number: int) -> bytes:
    """A JPEG with so many comments before what it has else."""
    return PROGRESSIVE[:2] + b"\xff\xfe\x00\x02" * number + PROGRESSIVE[2:]


def chunks(number: int) -> bytes:
    """A PNG of so many chunks beside its own."""
    extra = files.png_chunk(b"teSt", b"") * number
    plain = files.encoded(files.noise((64, 48)), "PNG")
    at = plain.index(b"IDAT") - 4
    return plain[:at] + extra + plain[at:]


def split_pixels(number: int) -> bytes:
    """A PNG whose pixels come in so many chunks of a byte."""
    rows = zlib.compress(bytes((8 * 3 + 1) * 8), 0).ljust(number, b"\0")
    split = b"".join(files.png_chunk(b"IDAT", rows[at : at + 1]) for at in range(number))
    plain = files.encoded(Image.new("RGB", (8, 8)), "PNG")
    at = plain.index(b"IDAT") - 4
    return plain[:at] + split + files.png_chunk(b"IEND", b"")


def blocks(number: int) -> bytes:
    """A GIF whose first frame comes after a comment in so many blocks of a byte."""
    plain = files.encoded(Image.new("P", (8, 8)), "GIF")
    at = plain.index(b",")
    return plain[:at] + b"!\xfe" + b"\x01x" * number + b"\0" + plain[at:]


@pytest.mark.parametrize(
    ("made", "most", "what"),
    [
        (scans, MOST_SCANS, "more than 249 further scans"),
        (repeated_colour, MOST_SCANS, "more than 249 further scans"),
        (segments, MOST_SEGMENTS, "more than 2,000 segments before its pixels"),
        (chunks, MOST_PARTS, "more than 100,000 chunks"),
        (split_pixels, MOST_PARTS, "more than 100,000 chunks"),
        (blocks, MOST_PARTS, "more than 100,000 blocks before its first frame"),
    ],
)
def test_too_many_parts_are_refused_and_many_are_not(made: Callable[[int], bytes], most: int, what: str) -> None:
    assert open_source(made(min(most, 1_000)), LIMIT).size in ((64, 48), (8, 8))
    for number in (most + 1, 20 * most):
        with pytest.raises(EntryFailure) as caught:
            open_source(made(number), LIMIT)
        assert caught.value.reason is Reason.CORRUPT_IMAGE
        assert what in caught.value.detail


def test_what_only_looks_like_a_scan_does_not_count() -> None:
    """In what is embedded before the pixels, such as a preview, and in what is appended, such as a phone's film."""
    embedded = b"\xff\xe5\xff\xff" + SCAN * (0xFFFD // 2) + b"\0"
    for data in (PROGRESSIVE[:2] + embedded + PROGRESSIVE[2:], PROGRESSIVE + SCAN * 10_000):
        assert open_source(data, LIMIT).tobytes() == open_source(PROGRESSIVE, LIMIT).tobytes()


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\x00", b"\xff\xd0", b"\x00", b"x"])
def test_filling_is_passed_over_at_once(filling: bytes) -> None:
    """No look at it begins again at each of its bytes, and beyond a megabyte nothing looks at it at all."""
    begins, end = PROGRESSIVE.index(SCAN), PROGRESSIVE.rindex(END)
    with suppress(EntryFailure):
        open_source(PROGRESSIVE[:end] + filling * 1_000_000, LIMIT)
    with suppress(EntryFailure):
        open_source(PROGRESSIVE[:begins] + filling * 1_000, LIMIT)
    with pytest.raises(EntryFailure, match="stray bytes before its pixels"):
        open_source(PROGRESSIVE[:begins] + filling * (MOST_JUNK + 2) + PROGRESSIVE[begins:], LIMIT)


def test_a_gif_of_nothing_before_its_first_frame_is_refused() -> None:
    plain = files.encoded(Image.new("P", (8, 8)), "GIF")
    at = plain.index(b",")
    with pytest.raises(EntryFailure, match="more than 100,000 blocks before its first frame"):
        open_source(plain[:at] + bytes(MOST_PARTS + 1) + plain[at:], LIMIT)


def test_damage_is_left_to_the_decoder() -> None:
    chance = random.Random(7)
    for made in (scans(300), segments(5), chunks(5), blocks(300)):
        for _ in range(200):
            data = bytearray(made[: chance.randrange(4, len(made))])
            for _ in range(3):
                data[chance.randrange(4, len(data)) if len(data) > 4 else -1] = chance.randrange(256)
            with suppress(EntryFailure):  # any other error would be the test's
                open_source(bytes(data), LIMIT)
