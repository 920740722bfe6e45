"""Files cut into so many parts that a small one would keep a decoder busy for minutes.

A decoder goes over all pixels again for each scan of a JPEG, and Pillow reads the segments, blocks and chunks before
the pixels one by one, in Python. A true picture has a few hundred at most, whatever its size.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.header import SourceFormat
from imgrelay_dagster.relay.outcomes import Reason

MOST_SCANS = 250
"""Of a JPEG. Encoders make about ten; 250 of 50 megapixels take a second or two."""

MOST_SEGMENTS = 2_000
"""Of a JPEG, before its pixels: Pillow puts their contents together, copying all that it has for each one more."""

MOST_JUNK = 1_000_000
"""Bytes of a JPEG that are in none of its segments, before its pixels."""

MOST_PARTS = 100_000

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # which begin with precision, height, width and number of colours
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)  # `\xff+` would go back and back


def check_parts(data: bytes, source_format: SourceFormat) -> None:
    """Refuse a file of too many parts; one that is broken is left to its decoder.

    Raises EntryFailure: corrupt_image.
    """
    check = _CHECKS.get(source_format)
    if check is not None:
        check(data)


def _at_most(most: int, parts: Iterable[object], what: str) -> None:
    if sum(1 for _ in islice(parts, most + 1)) > most:
        raise EntryFailure(Reason.CORRUPT_IMAGE, f"the file has more than {most:,} {what}, which no picture needs")


def _check_jpeg(data: bytes) -> None:
    segments = _segments(data)
    colours, progressive, junk, at = 0, False, 0, len(data)
    for number, (marker, at, passed) in enumerate(segments):
        junk += passed
        if number > MOST_SEGMENTS or junk > MOST_JUNK:
            what = f"{MOST_SEGMENTS:,} segments" if number > MOST_SEGMENTS else f"{MOST_JUNK:,} stray bytes"
            raise EntryFailure(Reason.CORRUPT_IMAGE, f"the file has more than {what} before its pixels")
        if marker == _START_OF_SCAN:
            break
        if marker in _FRAMES and at + 7 < len(data):
            colours, progressive = data[at + 7], marker in _PROGRESSIVE
    # A decoder goes on after the first scan where that one has not all of the picture.
    if progressive or data[at + 2 : at + 3] != bytes([colours]):
        _at_most(MOST_SCANS - 1, (marker for marker, *_ in segments if marker == _START_OF_SCAN), "further scans")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The markers up to the end of the first picture (ITU T.81, B.1.1).

    Each with where its segment's length stands, and how many bytes were passed over before it.
    """
    at = 2
    while found := _MARKER.search(data, at):
        passed, at = found.start() - at, found.end()
        marker = data[at - 1]
        if marker == _END_OF_IMAGE or at + 2 > len(data):
            return
        yield marker, at, passed
        if marker not in (0x01, 0xD8):  # which stand alone
            at += max(2, data[at] << 8 | data[at + 1])


def _check_png(data: bytes) -> None:
    _at_most(MOST_PARTS, _chunks(data), "chunks")


def _chunks(data: bytes) -> Iterator[int]:
    """Where the chunks begin (PNG, 5.3)."""
    at = 8
    while at + 8 <= len(data):
        yield at
        at += 12 + struct.unpack_from(">I", data, at)[0]


def _check_gif(data: bytes) -> None:
    _at_most(MOST_PARTS, _blocks(data), "blocks before its first frame")


def _blocks(data: bytes) -> Iterator[int]:
    """Where the blocks before the first frame begin (GIF89a, 23 to 26), and bytes that are in none."""
    end = len(data)
    at = 13 + (3 << (data[10] & 7) + 1 if end > 10 and data[10] & 0x80 else 0)
    while at < end and data[at] not in b",;":
        yield at
        at += 2 if data[at] == ord("!") else 1
        while at < end and data[at]:
            yield at
            at += 1 + data[at]


_CHECKS: dict[SourceFormat, Callable[[bytes], None]] = {
    SourceFormat.JPEG: _check_jpeg,
    SourceFormat.PNG: _check_png,
    SourceFormat.GIF: _check_gif,
}
