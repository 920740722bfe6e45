"""A decoder without memory may call a file broken. Where memory is limited, that is no verdict on the image."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pillow_jxl  # noqa: F401 - lets Pillow write JPEG XL
import pytest

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import Source
from imgrelay_dagster.relay.imaging.decoder_limits import BASE_MEMORY
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.memory import is_available
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import heic_files as heics
from tests.support import picture_files as files

pytestmark = pytest.mark.memory

SIZE = (2000, 1500)

_PROGRAM = """
import resource, sys
from pathlib import Path
from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import open_source

small, large = (Path(path).read_bytes() for path in sys.argv[1:])
open_source(small, 10_000_000)  # loads the decoder
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for more in (1, 4, 8, 12, 20):
    resource.setrlimit(resource.RLIMIT_AS, (used + (more << 20), resource.RLIM_INFINITY))
    try:
        open_source(large, 10_000_000)
        print("opened")
    except MemoryError:
        print("short")
    except EntryFailure as failure:
        print(failure.reason)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
open_source(large, 10_000_000)
"""
"""Decodes a file with little memory; prints what came of it for each limit."""

OPTIONS = {
    "JPEG": {"progressive": True},
    "PNG": {"compress_level": 1},
    "WEBP": {"method": 0},
    "AVIF": {"speed": 10},
    "JPEG2000": {},
    "JXL": {"effort": 1},
    "TIFF": {"compression": "tiff_lzw"},
    "GIF": {},
    "BMP": {},
}


@pytest.mark.skipif(sys.platform != "linux", reason="reads the used memory from /proc")
@pytest.mark.parametrize("name", OPTIONS)
def test_without_memory_no_file_is_broken(name: str, tmp_path: Path) -> None:
    paths = [tmp_path / "small", tmp_path / "large"]
    for path, size in zip(paths, [(64, 64), SIZE], strict=True):
        path.write_bytes(files.encoded(files.noise(size), name, **OPTIONS[name]))
    child = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *paths], capture_output=True, text=True, timeout=120, check=True
    )
    assert set(child.stdout.split()) <= {"opened", "short"}
    assert "short" in child.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not limit address space")
def test_without_memory_a_heic_is_not_broken() -> None:
    """A HEIC is always decoded in a process of its own, which may end if it can start no thread."""
    source = Source.inspect(heics.heic((1000, 800)), 10_000_000)
    results: set[str] = set()
    with DecoderPool() as pool:
        for limit in (*range(20, 140, 20), 512):
            memory = (limit << 20) - BASE_MEMORY
            try:
                pool.decode(replace(source, cost=replace(source.cost, pixel_memory=memory, file_memory=0)))
                results.add("decoded")
            except EntryFailure as failure:
                results.add(failure.reason)
    assert results <= {"decoded", Reason.TOO_COSTLY, Reason.INTERNAL_ERROR}
    assert results >= {"decoded", Reason.TOO_COSTLY}


def test_memory_that_no_machine_has_is_not_available() -> None:
    assert is_available(1 << 20)
    assert not is_available(1 << 60)
