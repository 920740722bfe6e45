"""What an AVIF file costs to decode, from its boxes and the headers of its bitstreams."""

import struct
from dataclasses import dataclass

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.av1 import Bitstream, read_bitstream
from imgrelay_dagster.relay.imaging.isobmff import ItemFile, read_items
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.outcomes import Reason

MAX_TILES = 1_000
"""Tiles of a picture. 50 megapixels in tiles of 512 x 512 pixels have 200."""

HEADER_BYTES = 64 * 1024
"""Bytes at the start of an item in which its headers are looked for."""


@dataclass(frozen=True, slots=True)
class AvifFile:
    """What a file says.

    Attributes:
        size: width and height in pixels of the picture that its container states; None if it states none.
        coded_pixels: the pixels that its bitstreams state; they may be more. 0 if they cannot be read.
        is_simple: whether it is a single bitstream of a single frame, or two with one for the alpha channel, whose size
            is known. The decoder's work is then bounded by its pixels.
    """

    size: Size | None
    coded_pixels: int
    is_simple: bool


def read_avif(data: bytes) -> AvifFile:
    """Read a file's boxes and headers; takes a tenth of a millisecond and allocates no pixels.

    Raises:
        EntryFailure: `too_costly`, the file has more entries than a picture needs; `corrupt_image`, it ends within a
            box.
    """
    try:
        return _read(data)
    except (IndexError, struct.error) as error:
        raise EntryFailure(Reason.CORRUPT_IMAGE, f"the AVIF ends within its header, after {len(data)} bytes") from error


def _read(data: bytes) -> AvifFile:
    file = read_items(data)
    if file.track_data and data[8:12] == b"avis":
        return _read_sequence(data, file)
    primary = file.primary
    if primary is None:
        return AvifFile(None, 0, is_simple=False)
    size = file.size_of(primary)
    alphas = [item for (kind, item), targets in file.references.items() if kind == b"auxl" and primary in targets]
    color, alpha = _read_item(data, file, primary), [_read_item(data, file, item) for item in alphas]
    coded = max((stream[0] for stream in (color, *alpha)), default=0)
    is_simple = len(alphas) < 2 and all(stream[1] for stream in (color, *alpha))
    return AvifFile(size, coded, is_simple)


def _read_item(data: bytes, file: ItemFile, item: int) -> tuple[int, bool]:
    """Return an item's coded pixels, and whether it is a single bitstream whose size is known."""
    if file.item_types.get(item) == b"grid":
        tiles = file.references.get((b"dimg", item), [])
        pixels = sum(_pixels(_stream(data, file, tile)) for tile in dict.fromkeys(tiles[:MAX_TILES]))
        width, height = file.size_of(item) or (0, 0)
        # The last row and column of tiles may stand out over the picture.
        return max(0, pixels - _overhang(data, file, tiles[:1], (width, height))), False
    stream = _stream(data, file, item)
    return _pixels(stream), stream.is_still and stream.size is not None


def _overhang(data: bytes, file: ItemFile, tiles: list[int], size: Size) -> int:
    tile = _stream(data, file, tiles[0]).size if tiles else None
    if tile is None:
        return 0
    columns, rows = -(-size[0] // tile[0]), -(-size[1] // tile[1])
    return columns * rows * tile[0] * tile[1] - size[0] * size[1]


def _stream(data: bytes, file: ItemFile, item: int) -> Bitstream:
    return read_bitstream(file.data_of(data, item, HEADER_BYTES))


def _pixels(stream: Bitstream) -> int:
    return stream.size[0] * stream.size[1] if stream.size else 0


def _read_sequence(data: bytes, file: ItemFile) -> AvifFile:
    """Read the first frames of an image sequence."""
    streams = [read_bitstream(data[start : start + HEADER_BYTES]) for start in file.track_data[:MAX_TILES]]
    size = max(file.track_sizes, default=None, key=lambda size: size[0] * size[1])
    return AvifFile(size, max(map(_pixels, streams), default=0), is_simple=False)
