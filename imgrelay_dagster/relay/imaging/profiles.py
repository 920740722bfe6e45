"""ICC profiles for colours that a file states by numbers: code points (ITU-T H.273), or gamma and chromaticities."""

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import NamedTuple

from imgrelay_dagster.relay.imaging.formats.picture import CodePoints

Matrix = tuple[tuple[float, float, float], ...]


class Chromaticities(NamedTuple):
    """CIE x and y of the white point and the primaries, in the order of PNG's cHRM chunk."""

    white_x: float
    white_y: float
    red_x: float
    red_y: float
    green_x: float
    green_y: float
    blue_x: float
    blue_y: float


_D65 = (0.3127, 0.329)
_C = (0.31, 0.316)
SRGB = Chromaticities(*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
BT2020 = Chromaticities(*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)
_SMPTE_170M = Chromaticities(*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07)
PRIMARIES = {
    1: SRGB,
    4: Chromaticities(*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: Chromaticities(*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: _SMPTE_170M,
    7: _SMPTE_170M,
    8: Chromaticities(*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: BT2020,
    10: Chromaticities(1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: Chromaticities(0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: Chromaticities(*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: Chromaticities(*_D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
"""Colour primaries by their code point (ITU-T H.273, table 2)."""

PQ, HLG = 16, 18


def _srgb(level: float) -> float:
    return level / 12.92 if level <= 0.04045 else math.pow((level + 0.055) / 1.055, 2.4)


def _smpte_240m(level: float) -> float:
    return level / 4 if level < 0.0913 else math.pow((level + 0.1115) / 1.1115, 1 / 0.45)


def _smpte_428(level: float) -> float:
    return min(1.0, math.pow(level, 2.6) * 52.37 / 48)


_GAMMAS = {1: 2.4, 4: 2.2, 5: 2.8, 6: 2.4, 8: 1.0, 11: 2.4, 14: 2.4, 15: 2.4}
_CURVES: dict[int, Callable[[float], float]] = {7: _smpte_240m, 13: _srgb, 17: _smpte_428}
TRANSFERS = {*_GAMMAS, *_CURVES, PQ, HLG}
"""Transfer characteristics that browsers convert. BT.709 and its relatives are shown on a display of gamma 2.4."""

_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_D50 = (0.9642, 1.0, 0.8249)
_SAMPLES = 1024


def is_supported(code: CodePoints) -> bool:
    """Whether both numbers are of colours that can be converted."""
    return code.primaries in PRIMARIES and code.transfer in TRANSFERS


def is_hdr(code: CodePoints) -> bool:
    """Whether the colours reach beyond white, so that they need tone mapping."""
    return code.transfer in (PQ, HLG)


@cache
def code_point_profile(code: CodePoints) -> bytes | None:
    """Return the ICC profile of supported code points that are not HDR; None for sRGB itself."""
    if code == CodePoints(1, 13):
        return None
    gamma = _GAMMAS.get(code.transfer)
    curve = _gamma_curve(gamma) if gamma else _sampled_curve(_CURVES[code.transfer])
    return _profile(PRIMARIES[code.primaries], curve)


def gamma_profile(exponent: float, chromaticities: Chromaticities = SRGB) -> bytes | None:
    """Return the ICC profile of samples that were encoded with this exponent, such as 1/2.2.

    None when the numbers make no sense, as of an exponent of 0.
    """
    if not 0 < exponent <= 100:
        return None
    try:
        return _profile(chromaticities, _gamma_curve(1 / exponent))
    except (ZeroDivisionError, struct.error):
        return None


def rgb_to_xyz(color: Chromaticities) -> Matrix:
    """Return the matrix from linear RGB to XYZ, where white has luminance 1.

    Raises ZeroDivisionError for primaries on one line.
    """
    columns = [_xyz(color[at], color[at + 1]) for at in (2, 4, 6)]
    matrix: Matrix = tuple((columns[0][row], columns[1][row], columns[2][row]) for row in range(3))
    scales = apply(inverse(matrix), _xyz(color.white_x, color.white_y))
    return tuple((row[0] * scales[0], row[1] * scales[1], row[2] * scales[2]) for row in matrix)


def inverse(matrix: Matrix) -> Matrix:
    """Return the inverse of a 3x3 matrix. Raises ZeroDivisionError when it has none."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return tuple((x / determinant, y / determinant, z / determinant) for x, y, z in rows)


def product(left: Matrix, right: Matrix) -> Matrix:
    """Return the product of two 3x3 matrices."""
    columns = [apply(left, tuple(row[at] for row in right)) for at in range(3)]
    return tuple((columns[0][row], columns[1][row], columns[2][row]) for row in range(3))


def apply(matrix: Matrix, vector: Sequence[float]) -> tuple[float, float, float]:
    """Return the product of a 3x3 matrix and a vector."""
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


def _xyz(x: float, y: float) -> tuple[float, float, float]:
    return (x / y, 1.0, (1 - x - y) / y) if y else (x, y, 1 - x - y)


def _adapted_to_d50(matrix: Matrix, white: Sequence[float]) -> Matrix:
    """Return the matrix to XYZ adapted from its own white point to that of ICC profiles (Bradford)."""
    ratios = [to / of for to, of in zip(apply(_BRADFORD, _D50), apply(_BRADFORD, white), strict=True)]
    scaled: Matrix = tuple(
        (row[0] * ratio, row[1] * ratio, row[2] * ratio) for row, ratio in zip(_BRADFORD, ratios, strict=True)
    )
    return product(product(inverse(_BRADFORD), scaled), matrix)


def _profile(color: Chromaticities, curve: bytes) -> bytes:
    """Build a display profile of version 4 (ICC.1:2022, 7 and 8.3.3)."""
    matrix = _adapted_to_d50(rgb_to_xyz(color), _xyz(color.white_x, color.white_y))
    columns = [_xyz_tag(row[at] for row in matrix) for at in range(3)]
    white = _xyz_tag(_D50)
    text = b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 2, 28) + "x".encode("utf-16-be")
    tags = {b"desc": text, b"cprt": text, b"wtpt": white}
    tags |= dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, bodies, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, body in tags.items():
        table += struct.pack(">4sII", name, start + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s", start + len(bodies), 0x04400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return head.ljust(68, b"\0") + white[8:] + bytes(48) + table + bodies


def _xyz_tag(values: Iterable[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _gamma_curve(gamma: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HHi", 0, 0, round(gamma * 65536))


def _sampled_curve(curve: Callable[[float], float]) -> bytes:
    samples = [round(65535 * curve(at / (_SAMPLES - 1))) for at in range(_SAMPLES)]
    return b"curv" + bytes(4) + struct.pack(f">I{_SAMPLES}H", _SAMPLES, *samples)
