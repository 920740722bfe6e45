"""Tone mapping of PQ and HLG images to sRGB.

The curve follows Chromium 156. Light is counted in units of reference white (203 cd/m², ITU-R BT.2408). Up to that, the
result is half of the light, so that reference white becomes 188 of 255. Above it the result rises with the logarithm of
the light, up to white at 1000 cd/m²:

    T(x) = x / 2                                    for x <= 1
    T(x) = 1 / 2 + (ln x / ln peak) ** 0.88 / 2     for 1 < x < peak = 1000 / 203

A pixel is multiplied by T(m) / m, where m is its largest component in BT.2020, so that hues stay. HLG is first shown as
on a display of 1000 cd/m² (ITU-R BT.2100, system gamma 1.2).
"""

import math
from typing import Any

from PIL import Image

from imgrelay_dagster.relay.imaging.formats.picture import CodePoints
from imgrelay_dagster.relay.imaging.profiles import BT2020, HLG, PRIMARIES, SRGB, inverse, product, rgb_to_xyz

REFERENCE_WHITE = 203.0
PEAK = 1000 / REFERENCE_WHITE
_STRIP_PIXELS = 1 << 18
"""Pixels that are computed at once, so that the floating-point numbers take a few megabytes."""

_LEVELS = 4096
_DARKEST = 1e-9
_BRIGHTEST, _GAIN_STEPS = 50.0, 1000
"""PQ reaches 49 times reference white."""


def tone_mapped(image: Image.Image, code: CodePoints) -> Image.Image:
    """Return an RGB or RGBA image of these HDR code points in sRGB. Takes about 0.1 s a megapixel."""
    from numpy import frombuffer, uint8  # noqa: PLC0415 - NumPy takes a tenth of a second, and HDR is rare

    convert = _Conversion(code)
    shown = Image.new("RGB", image.size)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        samples = frombuffer(image.crop(box).convert("RGB").tobytes(), uint8).reshape(-1, 3)
        size = (image.width, box[3] - top)
        shown.paste(Image.frombytes("RGB", size, convert(samples).tobytes()), (0, top))
    if image.mode == "RGBA":
        shown.putalpha(image.getchannel("A"))
    return shown


class _Conversion:
    """The conversion of samples with these code points; the tables are small."""

    def __init__(self, code: CodePoints) -> None:
        import numpy  # noqa: PLC0415 - as above

        levels, steps = numpy.arange(256) / 255, numpy.arange(_LEVELS) / (_LEVELS - 1)
        to_xyz = rgb_to_xyz(PRIMARIES[code.primaries])
        self._luminance = numpy.array(to_xyz[1], numpy.float32) if code.transfer == HLG else None
        self._light = (_hlg(levels) if code.transfer == HLG else _pq(levels)).astype(numpy.float32)
        self._to_bt2020, self._to_srgb = (
            numpy.array(product(inverse(rgb_to_xyz(space)), to_xyz), numpy.float32).T for space in (BT2020, SRGB)
        )
        encoded = numpy.where(steps <= 0.0031308, steps * 12.92, 1.055 * steps ** (1 / 2.4) - 0.055)
        self._gains = numpy.array(
            [_gain(step / _GAIN_STEPS) for step in range(round(_BRIGHTEST * _GAIN_STEPS) + 1)], numpy.float32
        )
        self._encoded = numpy.rint(255 * encoded).astype(numpy.uint8)

    def __call__(self, samples: Any) -> Any:
        import numpy  # noqa: PLC0415 - as above

        light = self._light[samples]
        if self._luminance is not None:  # the system gamma of HLG: 1.2
            light *= PEAK * (light @ self._luminance)[:, None].clip(_DARKEST) ** 0.2
        largest = (light @ self._to_bt2020).max(axis=1, keepdims=True)
        gain = self._gains[(largest.clip(0, _BRIGHTEST) * _GAIN_STEPS).astype(numpy.uint16)]
        linear = (light @ self._to_srgb) * gain
        return self._encoded[(linear.clip(0, 1) * (_LEVELS - 1) + 0.5).astype(numpy.uint16)]


def _gain(light: float) -> float:
    if light <= 1:
        return 0.5
    above = min(1.0, math.log(light) / math.log(PEAK))
    return (0.5 + math.pow(above, 0.88) / 2) / light


def _pq(encoded: Any) -> Any:
    """Return light in units of reference white (ITU-R BT.2100, table 4)."""
    power = encoded ** (32 / 2523)
    base = (power - 3424 / 4096).clip(0) / (2413 / 128 - 2392 / 128 * power)
    return 10_000 / REFERENCE_WHITE * base ** (16384 / 2610)


def _hlg(encoded: Any) -> Any:
    """Return the light of the scene, 0 to 1 (ITU-R BT.2100, table 5)."""
    import numpy  # noqa: PLC0415 - as above

    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return numpy.where(encoded <= 0.5, encoded**2 / 3, (numpy.exp((encoded - c) / a) + b) / 12)
