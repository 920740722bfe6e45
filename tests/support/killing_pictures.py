"""Pictures that kill the process that decodes or encodes them, and the module that makes them do so.

`install(folder)` writes a `sitecustomize.py`, which every Python process reads that has the folder in `PYTHONPATH`.
"""

from pathlib import Path

from tests.support.picture_files import encoded, noise

DECODE_SIZE, ENCODE_SIZE = (131, 67), (137, 71)
"""Sizes of pictures whose decoding and whose encoding kill the process."""

_SITECUSTOMIZE = f"""
import os, signal
from PIL import Image, ImageFile

def kill_at(method, size):
    def call(self, *arguments, **options):
        if self.size == size:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *arguments, **options)
    return call

ImageFile.ImageFile.load = kill_at(ImageFile.ImageFile.load, {DECODE_SIZE})
Image.Image.save = kill_at(Image.Image.save, {ENCODE_SIZE})
"""


def install(folder: Path) -> str:
    """Write the module; return the value for `PYTHONPATH`."""
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    return str(folder)


def picture(size: tuple[int, int], seed: int = 1) -> bytes:
    """A PNG of this size."""
    return encoded(noise(size, seed), "PNG")
