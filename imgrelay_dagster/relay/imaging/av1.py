"""Reads what an AV1 bitstream says about its cost: the size of its frames and their number (AV1 specification, 5.5)."""

from dataclasses import dataclass

from imgrelay_dagster.relay.imaging.bits import Bits

MAX_UNITS = 1_000
"""Units that are read. A picture has a handful."""

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6


@dataclass(frozen=True, slots=True)
class Bitstream:
    """What a bitstream says.

    Attributes:
        size: the largest width and height in pixels of its frames; None without a sequence header.
        is_still: whether it has exactly one frame, which cannot have another size than that.
    """

    size: tuple[int, int] | None
    is_still: bool


def read_bitstream(data: bytes) -> Bitstream:
    """Read the headers of the units (OBUs) of a bitstream; `data` may be cut off."""
    width = height = frames = units = at = 0
    reduced = True
    while at < len(data) and units < MAX_UNITS:
        units += 1
        kind, extended, has_size = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        size = len(data) - at
        if has_size:
            size, at = _read_leb128(data, at)
        if kind == _SEQUENCE_HEADER:
            header = _read_sequence_header(data[at : at + min(size, 512)])
            if header is not None:
                width, height = max(width, header[0]), max(height, header[1])
                reduced = reduced and header[2]
        frames += kind in (_FRAME_HEADER, _FRAME)
        at += size
    return Bitstream((width, height) if width else None, is_still=reduced and frames == 1 and units < MAX_UNITS)


def _read_leb128(data: bytes, at: int) -> tuple[int, int]:
    """Return an integer in LEB128 and the offset behind it (4.10.5)."""
    value = 0
    for number in range(8):
        byte = data[at + number] if at + number < len(data) else 0
        value |= (byte & 0x7F) << 7 * number
        if not byte & 0x80:
            return value, at + number + 1
    return value, at + 8


def _read_sequence_header(data: bytes) -> tuple[int, int, bool] | None:
    """Return the largest width and height, and whether the header is that of a single picture; None if it is cut off.

    Such a header (`reduced_still_picture_header`) allows no frame of another size.
    """
    bits = Bits(data)
    bits.read(4)  # seq_profile, still_picture
    reduced = bool(bits.read(1))
    if reduced:
        bits.read(5)  # seq_level_idx
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    width, height = bits.read(width_bits) + 1, bits.read(height_bits) + 1
    return None if bits.exhausted else (width, height, reduced)


def _skip_operating_points(bits: Bits) -> None:
    delay_bits = 0
    if bits.read(1):  # timing_info_present_flag
        bits.read(64)
        if bits.read(1):  # equal_picture_interval
            zeros = 0
            while not bits.read(1) and zeros < 32:
                zeros += 1
            bits.read(zeros)
        if bits.read(1):  # decoder_model_info_present_flag
            delay_bits = bits.read(5) + 1
            bits.read(42)
    has_initial_delays = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)  # operating_point_idc
        if bits.read(5) > 7:  # seq_level_idx
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if has_initial_delays and bits.read(1):
            bits.read(4)
