"""Time and memory needed to read very large or malicious manifests."""

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgrelay_dagster.relay.manifest.rows import ManifestRow
from tests.support.manifests import read

pytestmark = pytest.mark.memory

PROGRAM = """
import resource, sys
from imgrelay_dagster.relay.manifest.reader import read_manifest
class Endless:
    def __init__(self, size): self.left = size
    def read(self, size, /):
        size = min(size, self.left); self.left -= size
        return b"h" * size
stream = open(sys.argv[1], "rb") if sys.argv[1] != "-" else Endless(int(sys.argv[3]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for row in read_manifest(stream, sys.argv[2]))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def read_in_subprocess(*arguments: str) -> tuple[int, int]:
    """Read a manifest in a separate process; return the number of rows and the growth of its peak memory in KiB."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    rows, growth = done.stdout.split()
    return int(rows), int(growth)


@pytest.mark.parametrize("name", ["m.txt", "m.jsonl"])
def test_endless_line_needs_little_memory(name: str) -> None:
    rows, growth = read_in_subprocess("-", name, str(400 << 20))
    assert rows == 1
    assert growth < 8 * 1024


@pytest.mark.parametrize(
    ("name", "filler"), [("m.txt.gz", b"\x00"), ("m.csv.gz", b'"'), ("m.csv.gz", b"h"), ("m.jsonl.gz", b"[")]
)
def test_gzip_bomb_needs_little_memory(name: str, filler: bytes, tmp_path: Path) -> None:
    bomb = tmp_path / name
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(b"url\n")
        for _ in range(100):
            file.write(filler * (1 << 20))
    rows, growth = read_in_subprocess(str(bomb), name)
    assert rows == (1 if "csv" in name else 2)
    assert growth < 8 * 1024


def large_manifest(name: str) -> bytes:
    """Return a manifest of 100,000 URLs in the format of this name."""
    urls = [f"https://images.example.com/photos/{n}/picture-{n}.jpg?width=1200&sig={n}" for n in range(100_000)]
    if name == "m.csv":
        return ("url,key,note\n" + "".join(f'"{url}",k/{n},"a ""b"""\n' for n, url in enumerate(urls))).encode()
    if name == "m.jsonl":
        return "".join(json.dumps({"url": url, "key": f"k/{n}", "x": 1}) + "\n" for n, url in enumerate(urls)).encode()
    return "\n".join(urls).encode()


@pytest.mark.parametrize("name", ["m.txt", "m.csv", "m.jsonl"])
def test_hundred_thousand_lines_are_read_in_linear_time_and_constant_memory(name: str, tmp_path: Path) -> None:
    data = large_manifest(name)
    compressed = gzip.compress(data, 1)
    for path, content in ((name, data), (name + ".gz", compressed)):
        started = time.process_time()
        assert sum(isinstance(row, ManifestRow) for row in read(content, path)) == 100_000
        assert time.process_time() - started < 10  # a reader that is quadratic in its lines takes minutes
    (tmp_path / "m").write_bytes(compressed)
    rows, growth = read_in_subprocess(str(tmp_path / "m"), name + ".gz")
    assert rows == 100_000
    assert growth < 8 * 1024
