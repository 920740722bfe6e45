"""Measure the CPU time of downloading small images alone, one after the other, from a near origin.

python -m benchmarks.downloading [--against CHECKOUT] [--images 2000] [--rounds 7]

CHECKOUT is a folder with another version, which runs in this environment. Figures are medians of alternating rounds.
"""

import argparse
import compileall
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks import corpus
from benchmarks.__main__ import FOLDER
from benchmarks.cases import SMALL
from benchmarks.origin import Nginx
from benchmarks.testbed import ROOT

WORKER = Path(__file__).parent / "download_worker.py"


def main() -> None:
    """Measure each version in every round; print the CPU time of an image, and how the versions compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.downloading")
    parser.add_argument("--against", type=Path, help="folder with another version")
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    versions = {"this": ROOT, **({"other": options.against.absolute()} if options.against else {})}
    for root in versions.values():
        compileall.compile_dir(root / "imgrelay_dagster", quiet=1)
    found: dict[str, list[float]] = {name: [] for name in versions}
    names = corpus.make(FOLDER / "corpus")[SMALL]
    with tempfile.TemporaryDirectory() as folder, Nginx(Path(folder), FOLDER.absolute() / "corpus") as origin:
        urls = corpus.write_manifest(Path(folder, "urls.txt"), corpus.urls(origin.bases(), names, options.images))
        for _ in range(options.rounds):
            for name, root in versions.items():
                found[name].append(measure(root, urls))
    for name, costs in found.items():
        print(f"{name}: {median(costs):.0f} CPU µs an image ({min(costs):.0f} to {max(costs):.0f})")
    if options.against:
        ratios = [this / other for this, other in zip(found["this"], found["other"], strict=True)]
        print(f"ratio: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def measure(root: Path, urls: Path) -> float:
    """The CPU time of an image in microseconds, with the package in folder `root`."""
    command = [sys.executable, WORKER, urls]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE, check=True)
    used = json.loads(done.stdout)
    return float(used["cpu"]) / int(used["images"]) * 1e6


if __name__ == "__main__":
    main()
