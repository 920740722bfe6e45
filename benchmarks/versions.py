"""Compare imgrelay with another version of itself: both relay the same images in turn.

python -m benchmarks.versions CASE --against CHECKOUT [--steps 2] [--rounds 3] [--latency 200]

CHECKOUT is a folder with the other version; it runs in this environment. Prints each run, then the ratios of medians.
"""

import argparse
import compileall
import shutil
import statistics
import uuid
from pathlib import Path

from benchmarks import meter, origin
from benchmarks.__main__ import FOLDER
from benchmarks.cases import CASES, OURS, Case
from benchmarks.testbed import ROOT, SLOTS, Run, Testbed
from imgrelay_dagster.config.defaults import WAITING_STEPS


def main() -> None:
    """Measure both versions in each round, and print how they compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versions", description=(__doc__ or "").splitlines()[0])
    known = {case.name: case for case in CASES if not case.then}
    parser.add_argument("case", choices=known, metavar="CASE")
    parser.add_argument("--against", type=Path, required=True, help="folder with the other version")
    parser.add_argument("--steps", type=int, default=SLOTS + WAITING_STEPS, help="its number of concurrent steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=int, default=origin.LATENCY, help="milliseconds to a distant origin")
    options = parser.parse_args()
    origin.LATENCY = options.latency
    versions = {"this": (ROOT, SLOTS + WAITING_STEPS), "other": (options.against.absolute(), options.steps)}
    found: dict[str, list[meter.Usage]] = {name: [] for name in versions}
    for root, _ in versions.values():
        compileall.compile_dir(root / "imgrelay_dagster", quiet=1)
    with Testbed(FOLDER) as testbed:
        for _ in range(options.rounds):
            for name, (root, steps) in versions.items():
                usage = _measure(testbed, known[options.case], root, steps)
                found[name].append(usage)
                memory = usage.peak_memory / 2**20
                print(f"{name:6} {usage.wall:7.1f} s {usage.cpu:7.1f} CPU s {memory:5.0f} MiB", flush=True)
    for what in ("wall", "cpu"):
        this, other = (statistics.median(getattr(usage, what) for usage in found[name]) for name in versions)
        print(f"{what}: {this / other:.2f} of the other version's")


def _measure(testbed: Testbed, case: Case, root: Path, steps: int) -> meter.Usage:
    folder = testbed.folder / "work" / uuid.uuid4().hex
    run = Run(testbed, case, folder)
    shutil.copy(root / "dagster.yaml", run.home)
    command = run.command(OURS)
    command[command.index("--max-concurrent") + 1] = str(steps)
    environment = {**run.environment(OURS), "PYTHONPATH": str(root)}
    usage = meter.run(command, environment=environment, folder=folder, scratch=folder / "staging")
    if usage.code:
        raise SystemExit(f"{root} failed with code {usage.code}: {usage.err[-2000:]}")
    shutil.rmtree(folder)
    return usage


if __name__ == "__main__":
    main()
