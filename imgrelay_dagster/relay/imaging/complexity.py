"""Limits on the number of scans, segments, chunks and blocks in an image file.

A small file with very many of them would keep a decoder busy for minutes: a JPEG decoder passes over all pixels
again for each scan, and Pillow reads the segments, blocks and chunks before the pixels one by one, in Python. A
real photograph or graphic has a few hundred at most, whatever its size.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.formats.jpeg_segments import FRAMES, PROGRESSIVE, START_OF_SCAN, segments
from imgrelay_dagster.relay.imaging.formats.signatures import SourceFormat
from imgrelay_dagster.relay.outcomes import Reason

MAX_SCANS = 250
"""Scans in a JPEG. Encoders write about ten; decoding 250 of 50 megapixels takes a second or two."""

MAX_SEGMENTS = 2_000
"""Segments before the pixels of a JPEG. Pillow concatenates their contents and copies all of them for each new one."""

MAX_STRAY_BYTES = 1_000_000
"""Bytes before the pixels of a JPEG that belong to no segment."""

MAX_PARTS = 100_000
"""Chunks in a PNG, or blocks before the first frame of a GIF."""


def check_complexity(data: bytes, source_format: SourceFormat) -> None:
    """Refuse a file with too many parts. A broken file passes: its decoder reports it.

    Raises EntryFailure: corrupt_image.
    """
    check = _CHECKS.get(source_format)
    if check is not None:
        check(data)


def _check_count(limit: int, parts: Iterable[object], name: str) -> None:
    if sum(1 for _ in islice(parts, limit + 1)) > limit:
        raise EntryFailure(Reason.CORRUPT_IMAGE, f"the file has more than {limit:,} {name}, which no image needs")


def _check_jpeg(data: bytes) -> None:
    parts = segments(data)
    colors, progressive, stray, offset = 0, False, 0, len(data)
    for number, (marker, offset, skipped) in enumerate(parts):
        stray += skipped
        if number > MAX_SEGMENTS or stray > MAX_STRAY_BYTES:
            excess = f"{MAX_SEGMENTS:,} segments" if number > MAX_SEGMENTS else f"{MAX_STRAY_BYTES:,} stray bytes"
            raise EntryFailure(Reason.CORRUPT_IMAGE, f"the file has more than {excess} before its pixels")
        if marker == START_OF_SCAN:
            break
        if marker in FRAMES and offset + 7 < len(data):
            colors, progressive = data[offset + 7], marker in PROGRESSIVE
    # A decoder reads further scans only when the first one does not hold the whole image.
    if progressive or data[offset + 2 : offset + 3] != bytes([colors]):
        _check_count(MAX_SCANS - 1, (marker for marker, *_ in parts if marker == START_OF_SCAN), "further scans")


def _check_png(data: bytes) -> None:
    _check_count(MAX_PARTS, _chunks(data), "chunks")


def _chunks(data: bytes) -> Iterator[int]:
    """Yield the offset of each chunk (PNG, 5.3)."""
    offset = 8
    while offset + 8 <= len(data):
        yield offset
        offset += 12 + struct.unpack_from(">I", data, offset)[0]


def _check_gif(data: bytes) -> None:
    _check_count(MAX_PARTS, _blocks(data), "blocks before its first frame")


def _blocks(data: bytes) -> Iterator[int]:
    """Yield the offsets of the blocks before the first frame (GIF89a, 23 to 26), and of bytes outside any block."""
    end = len(data)
    offset = 13 + (3 << (data[10] & 7) + 1 if end > 10 and data[10] & 0x80 else 0)
    while offset < end and data[offset] not in b",;":
        yield offset
        offset += 2 if data[offset] == ord("!") else 1
        while offset < end and data[offset]:
            yield offset
            offset += 1 + data[offset]


_CHECKS: dict[SourceFormat, Callable[[bytes], None]] = {
    SourceFormat.JPEG: _check_jpeg,
    SourceFormat.PNG: _check_png,
    SourceFormat.GIF: _check_gif,
}
