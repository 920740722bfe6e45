"""HEIC files for the tests: an encoder, and files whose boxes state other things than their bitstreams."""

import io
import struct

import pillow_heif

from tests.support import picture_files as files
from tests.support.avif_files import box

TILE = 128
"""The side of a tile in pixels."""


def heic(size: tuple[int, int], *, depth: int = 8, chroma: int = 420, mode: str = "RGB") -> bytes:
    """A picture of soft noise. `depth` is 8 or 10, `chroma` 420, 422 or 444."""
    picture, buffer = files.noise(size, mode=mode), io.BytesIO()
    file = pillow_heif.from_pillow(picture)
    if depth > 8:
        samples = bytearray(2 * len(picture.tobytes()))
        samples[1::2] = picture.tobytes()
        file = pillow_heif.from_bytes(f"{mode};16", size, bytes(samples))
    file.save(buffer, quality=50, chroma=chroma)
    return buffer.getvalue()


def with_stated_depth(data: bytes, depth: int) -> bytes:
    """The file whose decoder configurations state another depth (ISO/IEC 14496-15, 8.3.3.1)."""
    changed, at = bytearray(data), data.find(b"hvcC")
    while at >= 0:
        for byte in (at + 21, at + 22):
            changed[byte] = changed[byte] & 0xF8 | depth - 8
        at = data.find(b"hvcC", at + 4)
    return bytes(changed)


def configuration(data: bytes) -> bytes:
    """The first decoder configuration of a file: the content of its `hvcC`."""
    at = data.index(b"hvcC")
    (size,) = struct.unpack_from(">I", data, at - 4)
    return data[at + 4 : at - 4 + size]


def pixel_data(data: bytes) -> bytes:
    """The bitstream of a file of one picture: the content of its `mdat`."""
    at = data.index(b"mdat")
    return data[at + 4 : at - 4 + struct.unpack_from(">I", data, at - 4)[0]]


def grid(tile: bytes, size: tuple[int, int]) -> bytes:
    """A picture of this size made of one tile, a HEIC of `TILE` pixels a side, again and again (23008-12, 6.6.2.3)."""
    columns, rows = (-(-side // TILE) for side in size)
    layout = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size)
    return _file(configuration(tile), pixel_data(tile), size, (TILE, TILE), columns * rows, layout)


def still(configured: bytes, bitstream: bytes, size: tuple[int, int]) -> bytes:
    """A file of one picture with this decoder configuration and this bitstream."""
    return _file(configured, bitstream, size, size, 0, b"")


def _file(
    configured: bytes, bitstream: bytes, size: tuple[int, int], tile: tuple[int, int], tiles: int, layout: bytes
) -> bytes:
    """Item 1 is the picture; in a grid, the items from 2 on are its tiles."""
    coded = range(2, 2 + tiles) if tiles else range(1, 2)
    items = [(1, b"grid")] if tiles else []
    items += [(item, b"hvc1") for item in coded]
    infos = b"".join(box(b"infe", b"\2\0\0\0" + struct.pack(">HH4s", item, 0, kind) + b"\0") for item, kind in items)
    properties = box(b"ispe", bytes(4) + struct.pack(">II", *size)) + box(b"hvcC", configured)
    properties += box(b"ispe", bytes(4) + struct.pack(">II", *tile))
    associations = struct.pack(">HBB", 1, 1, 1) if tiles else b""
    associations += b"".join(struct.pack(">HBBB", item, 2, 0x82, 3) for item in coded)
    boxes = box(b"hdlr", bytes(8) + b"pict" + bytes(13)) + box(b"pitm", bytes(4) + struct.pack(">H", 1))
    boxes += box(b"iinf", bytes(4) + struct.pack(">H", len(items)) + infos)
    boxes += box(
        b"iprp", box(b"ipco", properties) + box(b"ipma", bytes(4) + struct.pack(">I", len(items)) + associations)
    )
    if tiles:
        boxes += box(b"idat", layout)
        boxes += box(b"iref", bytes(4) + box(b"dimg", struct.pack(f">HH{tiles}H", 1, tiles, *coded)))

    def head(start: int) -> bytes:
        """Everything before the bitstream, which starts at this byte of the file."""
        places = [struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(layout))] if tiles else []
        places += [struct.pack(">HHHHII", item, 0, 0, 1, start, len(bitstream)) for item in coded]
        iloc = box(b"iloc", b"\1\0\0\0\x44\0" + struct.pack(">H", len(places)) + b"".join(places))
        return box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(4) + boxes + iloc)

    return head(len(head(0)) + 8) + box(b"mdat", bitstream)
