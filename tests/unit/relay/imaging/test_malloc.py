"""Freed memory of one image is reused for the next."""

import subprocess
import sys

PROGRAM = """
import io
import resource
import sys
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from imgrelay_dagster.relay.imaging.compose import Output, Template, compose
from imgrelay_dagster.relay.imaging.malloc import keep_freed_memory
from imgrelay_dagster.relay.imaging.layout import Layout

def encoded(image, format):
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()

if "kept" in sys.argv:
    keep_freed_memory()
template = Template.load(encoded(Image.new("RGBA", (1200, 900), (0, 0, 0, 80)), "PNG"), "t.png")
sizes = ((1200, 900), (900, 1200), (1280, 800), (1024, 1024))
photographs = [
    encoded(Image.effect_noise(size, 40).convert("RGB"), format) for size in sizes for format in ("JPEG", "PNG", "WEBP")
]
def compose_photograph(photograph):
    return compose(photograph, template, Layout(), Output(), max_pixels=10_000_000)
with ThreadPoolExecutor(2) as threads:  # as in a step; malloc treats the main thread differently
    list(threads.map(compose_photograph, photographs))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    list(threads.map(compose_photograph, photographs))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / len(photographs))
"""


def page_faults_per_image(*arguments: str) -> float:
    """Return the page faults per image of 4 MiB, which has 1,024 pages."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


def test_freed_memory_is_reused():
    # When two images are freed at the same moment, malloc may keep their memory by chance.
    default = max(page_faults_per_image() for _ in range(3))
    assert default > 300, "the C library keeps memory by default: the setting is no longer needed"
    assert page_faults_per_image("kept") < default / 2
