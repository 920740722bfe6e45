"""The memory of one picture serves the next."""

import subprocess
import sys

COMPOSING = """
import io
import resource
import sys
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from imgrelay_dagster.relay.imaging.compose import Output, Template, compose
from imgrelay_dagster.relay.imaging.malloc import keep_freed_pixels
from imgrelay_dagster.relay.imaging.layout import Layout

def encoded(image, format):
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()

if "kept" in sys.argv:
    keep_freed_pixels()
template = Template.load(encoded(Image.new("RGBA", (1200, 900), (0, 0, 0, 80)), "PNG"), "t.png")
sizes = ((1200, 900), (900, 1200), (1280, 800), (1024, 1024))
photographs = [
    encoded(Image.effect_noise(size, 40).convert("RGB"), format) for size in sizes for format in ("JPEG", "PNG", "WEBP")
]
def lay(photograph):
    return compose(photograph, template, Layout(), Output(), max_pixels=10_000_000)
with ThreadPoolExecutor(2) as threads:  # as in a step; the main thread's memory is managed otherwise
    list(threads.map(lay, photographs))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    list(threads.map(lay, photographs))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / len(photographs))
"""


def pages_a_picture(*arguments: str) -> float:
    """Pages that the kernel hands out, cleared, for a picture of 4 MiB, which is 1,024 of them."""
    command = [sys.executable, "-c", COMPOSING, *arguments]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


def test_a_picture_lies_where_the_last_one_lay():
    # By chance, when two pictures end at the same moment, it may keep what they lay in for once.
    given_back = max(pages_a_picture() for _ in range(3))
    assert given_back > 300, "the C library keeps memory by itself: the setting is not needed any more"
    assert pages_a_picture("kept") < given_back / 2
