"""Freed memory of one image is reused for the next."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.memory

PROGRAM = """
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imgrelay_dagster.relay.imaging.compose import Output, Template, compose
from imgrelay_dagster.relay.imaging.malloc import keep_freed_memory
from imgrelay_dagster.relay.imaging.layout import Layout

if "kept" in sys.argv:
    keep_freed_memory()
folder = Path(sys.argv[1])
template = Template.load((folder / "template.png").read_bytes(), "template.png")
photographs = [path.read_bytes() for path in sorted(folder.glob("photograph-*"))]
def compose_photograph(photograph):
    return compose(photograph, template, Layout(), Output(), max_pixels=10_000_000)
with ThreadPoolExecutor(2) as threads:  # as in a step; malloc treats the main thread differently
    list(threads.map(compose_photograph, photographs))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    list(threads.map(compose_photograph, photographs))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / len(photographs))
"""


SIZES = ((1200, 900), (900, 1200), (1280, 800), (1024, 1024))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a template and photographs, encoded once for all processes: that costs more than composing them."""
    Image.new("RGBA", (1200, 900), (0, 0, 0, 80)).save(tmp_path / "template.png")
    for number, size in enumerate(SIZES):
        photograph = Image.effect_noise(size, 40).convert("RGB")
        for suffix in ("jpg", "png", "webp"):
            photograph.save(tmp_path / f"photograph-{number}.{suffix}")
    return tmp_path


def page_faults_per_image(pictures: Path, *arguments: str) -> float:
    """Return the page faults per image of 4 MiB, which has 1,024 pages."""
    command = [sys.executable, "-c", PROGRAM, str(pictures), *arguments]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


def test_freed_memory_is_reused(pictures: Path):
    # When two images are freed at the same moment, malloc may keep their memory by chance.
    default = next((faults for _ in range(12) if (faults := page_faults_per_image(pictures)) > 300), 0.0)
    assert default, "the C library keeps memory by default: the setting is no longer needed"
    assert page_faults_per_image(pictures, "kept") < default / 2
