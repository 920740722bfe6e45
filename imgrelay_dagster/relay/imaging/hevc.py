"""Reads what an HEVC bitstream says about its cost: the size and the samples of its pictures (ITU-T H.265, 7.3.2.2)."""

from collections.abc import Iterator
from dataclasses import dataclass

from imgrelay_dagster.relay.imaging.bits import Bits
from imgrelay_dagster.relay.imaging.layout import Size

BLOCK = 64
"""The side of the largest coding block, in pixels: encoders fill the last blocks of a picture."""

_HEADER_BYTES = 512
"""Bytes at the start of a parameter set, in which the fields are that are read here."""

_SEQUENCE_PARAMETERS = 33
_CHROMA_UNITS = {1: (2, 2), 2: (2, 1)}


@dataclass(frozen=True, slots=True)
class Sequence:
    """What a sequence parameter set says.

    Attributes:
        coded: width and height in pixels that a decoder allocates.
        size: the part of them that is shown.
        chroma: 0 for grey, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
        depth: bits of a sample, of luma or of chroma, whichever are more.
    """

    coded: Size
    size: Size
    chroma: int
    depth: int


def read_sequences(units: Iterator[bytes]) -> list[Sequence]:
    """Read the sequence parameter sets among the units (NAL units) of a bitstream, of which the starts suffice.

    Those of further layers, such as the second view of a stereo picture, are left out, as decoders of HEIC do.
    """
    return [_read(unit[2:]) for unit in units if len(unit) > 2 and _is_sequence(unit)]


def _is_sequence(unit: bytes) -> bool:
    """Whether this is a sequence parameter set of the base layer (7.3.1.2)."""
    layer = (unit[0] & 1) << 5 | unit[1] >> 3
    return unit[0] >> 1 & 63 == _SEQUENCE_PARAMETERS and layer == 0


def configured_units(configuration: bytes) -> Iterator[bytes]:
    """Yield the starts of the units in a decoder configuration (`hvcC`, ISO/IEC 14496-15, 8.3.3.1)."""
    at = 23
    for _ in range(configuration[22] if len(configuration) > 22 else 0):
        count = int.from_bytes(configuration[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            if at + 2 > len(configuration):
                return
            length = int.from_bytes(configuration[at : at + 2], "big")
            yield configuration[at + 2 : at + 2 + min(length, _HEADER_BYTES)]
            at += 2 + length


def stored_units(data: memoryview, length_size: int) -> Iterator[bytes]:
    """Yield the starts of the units of an item, each of which has its length in so many bytes before it."""
    at = 0
    while at + length_size < len(data):
        length = int.from_bytes(data[at : at + length_size], "big")
        at += length_size
        yield bytes(data[at : at + min(length, _HEADER_BYTES)])
        at += length


def _read(data: bytes) -> Sequence:
    """Read a parameter set without its header; the fields behind its end count as 0."""
    bits = Bits(data[:_HEADER_BYTES].replace(b"\0\0\3", b"\0\0"))
    bits.read(4)  # sps_video_parameter_set_id
    layers = bits.read(3)
    bits.read(1)
    _skip_levels(bits, layers)
    _exponential(bits)  # sps_seq_parameter_set_id
    chroma = _exponential(bits)
    if chroma == 3:
        bits.read(1)  # separate_colour_plane_flag
    coded = _exponential(bits), _exponential(bits)
    size = coded
    if bits.read(1):  # conformance_window_flag
        left, right, top, bottom = (_exponential(bits) for _ in range(4))
        across, down = _CHROMA_UNITS.get(chroma, (1, 1))
        size = max(0, coded[0] - across * (left + right)), max(0, coded[1] - down * (top + bottom))
    depth = 8 + max(_exponential(bits), _exponential(bits))
    return Sequence(coded, size, chroma, depth)


def _skip_levels(bits: Bits, layers: int) -> None:
    """Skip `profile_tier_level` (7.3.3)."""
    bits.read(96)
    present = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)


def _exponential(bits: Bits) -> int:
    """Read a number in Exp-Golomb code (9.2)."""
    zeros = 0
    while not bits.read(1) and zeros < 32:
        zeros += 1
    return (1 << zeros) - 1 + bits.read(zeros)
