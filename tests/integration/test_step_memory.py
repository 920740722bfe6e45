"""A step stays within the memory that docs/reliability.md promises, as `python -m benchmarks.memory` measures it."""

import math
import sys
from pathlib import Path

import pytest

from benchmarks.memory.__main__ import MIB, measure
from benchmarks.memory.pictures import PICTURES

MEGAPIXELS = 16
"""The lowest `download.max_pixels` that lowers the memory of a step."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")
@pytest.mark.parametrize("name", ["heic-444", "jpeg-progressive"])
def test_a_costly_picture_takes_the_promised_memory(name: str, tmp_path: Path) -> None:
    """A HEIC is decoded in a process of its own, which counts too; a JPEG in that of the step."""
    side = math.isqrt(MEGAPIXELS * 1_000_000)
    path = tmp_path / name
    path.write_bytes(PICTURES[name]((side, side)))
    before, peak, _, printed = measure(side * side, "jpeg", [path])
    assert printed.startswith(f"{side}x{side}, ")
    assert before < peak <= (200 + 10 * MEGAPIXELS) * MIB
