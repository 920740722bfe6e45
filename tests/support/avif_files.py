"""AVIF files for the tests: an encoder, and boxes (ISO/IEC 14496-12) with more entries than a picture needs."""

import struct

from tests.support import picture_files as files


def avif(size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    """A still picture of soft noise."""
    return files.encoded(files.noise(size), "AVIF", speed=10, **options)


def box(kind: bytes, content: bytes) -> bytes:
    """One box: size, type, content (4.2)."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def insert(data: bytes, kind: bytes, extra: bytes) -> bytes:
    """The file with more content at the end of its first box `kind`, and of the boxes around it.

    The offsets of the pictures stay as they are, so a decoder would find other bytes there.
    """
    at = data.index(kind) - 4
    parents = [*_ancestors(data, at), at]
    changed = bytearray(data)
    (size,) = struct.unpack_from(">I", data, at)
    for place in parents:
        (old,) = struct.unpack_from(">I", data, place)
        struct.pack_into(">I", changed, place, old + len(extra))
    changed[at + size : at + size] = extra
    return bytes(changed)


def with_stated_size(data: bytes, size: tuple[int, int]) -> bytes:
    """The file whose container states another size than its bitstream."""
    changed = bytearray(data)
    at = data.index(b"ispe")
    struct.pack_into(">II", changed, at + 8, *size)
    return bytes(changed)


def with_items(number: int) -> bytes:
    """A file with so many more items, which have no data."""
    data = avif()
    infos = b"".join(
        box(b"infe", b"\2\0\0\0" + struct.pack(">HH4s", item, 0, b"av01") + b"\0") for item in range(9, 9 + number)
    )
    changed = bytearray(insert(data, b"iinf", infos))
    at = data.index(b"iinf")
    (count,) = struct.unpack_from(">H", data, at + 8)
    struct.pack_into(">H", changed, at + 8, count + number)
    return bytes(changed)


def with_properties(number: int) -> bytes:
    """A file with so many more properties, which no item has."""
    return insert(avif(), b"ipco", box(b"irot", b"\0") * number)


def with_associations(number: int) -> bytes:
    """A file whose items have so many more properties."""
    data = avif()
    extra = (struct.pack(">HB", 1, 250) + b"\1" * 250) * (number // 250)
    changed = bytearray(insert(data, b"ipma", extra))
    at = data.index(b"ipma")
    (count,) = struct.unpack_from(">I", data, at + 8)
    struct.pack_into(">I", changed, at + 8, count + number // 250)
    return bytes(changed)


def with_references(number: int) -> bytes:
    """A file with so many references from one item to another."""
    targets = struct.pack(">HH", 1, number) + struct.pack(">H", 1) * number
    return insert(avif(), b"meta", box(b"iref", b"\0\0\0\0" + box(b"cdsc", targets)))


def _ancestors(data: bytes, at: int) -> list[int]:
    """The places of the boxes around the one at `at`, outermost first."""
    found, start, end = [], 0, len(data)
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if start <= at < start + size and start != at:
            found.append(start)
            start, end = start + (12 if kind == b"meta" else 8), start + size
        else:
            start += size
        if start == at:
            break
    return found
