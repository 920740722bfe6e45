"""Check the pixels of a PNG, and repack those whose zlib stream is damaged behind the last pixel."""

import struct
import zlib
from collections.abc import Iterator

_PIECE = 1 << 20
_MISSING = "its data end before all pixels"
_Pass = tuple[int, int, int, int]
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Left, top and steps of the passes of an interlaced PNG (PNG 3rd edition, 8.1)."""


def repaired(header: bytes, pixels: list[tuple[bytes, memoryview]]) -> list[tuple[bytes, memoryview]]:
    """Return pixel chunks with the same samples and a sound stream. Takes a megabyte beside the packed samples.

    Args:
        header: the body of the IHDR chunk.
        pixels: the IDAT chunks; the checksum at their end may be wrong or missing.

    Raises ValueError when samples are missing.
    """
    missing = expected_bytes(header)
    packer = zlib.compressobj(1)
    packed: list[bytes] = []
    for samples in _unpack(b"".join(body for _, body in pixels)):
        packed.append(packer.compress(samples[:missing]))
        missing -= min(missing, len(samples))
        if not missing:
            break
    if missing:
        raise ValueError(_MISSING)
    return [(b"IDAT", memoryview(b"".join([*packed, packer.flush()])))]


def expected_bytes(header: bytes) -> int:
    """Return the length of the unpacked samples, with the filter byte of each row."""
    bits = header[8] * _SAMPLES.get(header[9], 4)
    return sum(rows * (1 + (columns * bits + 7) // 8) for _, columns, rows in _passes(header))


def last_pixel(header: bytes) -> tuple[int, int]:
    """Return the place of the pixel that is decoded last."""
    (left, top, step_x, step_y), columns, rows = list(_passes(header))[-1]
    return left + (columns - 1) * step_x, top + (rows - 1) * step_y


def _passes(header: bytes) -> Iterator[tuple[_Pass, int, int]]:
    """Yield the passes that hold pixels, with their columns and rows."""
    width, height = struct.unpack_from(">II", header)
    for one in _ADAM7 if header[12] else ((0, 0, 1, 1),):
        left, top, step_x, step_y = one
        columns, rows = -(-(width - left) // step_x), -(-(height - top) // step_y)
        if columns > 0 and rows > 0:
            yield one, columns, rows


def check_complete(header: bytes, pixels: list[tuple[bytes, memoryview]]) -> None:
    """Raise ValueError when samples are missing. Takes a megabyte beside the packed samples."""
    missing = expected_bytes(header)
    for samples in _unpack(b"".join(body for _, body in pixels)):
        missing -= len(samples)
        if missing <= 0:
            return
    raise ValueError(_MISSING)


def _unpack(stream: bytes) -> Iterator[bytes]:
    """Unpack a zlib stream piece by piece without its checksum (RFC 1950); stop where it is broken."""
    unpacker = zlib.decompressobj(-15)
    rest = stream[2:]
    while not unpacker.eof:
        try:
            piece = unpacker.decompress(rest, _PIECE)
        except zlib.error:
            return
        rest = unpacker.unconsumed_tail
        if not piece and not rest:
            return
        yield piece
