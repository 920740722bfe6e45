"""Measures the bare engine with different numbers of threads, one stage at a time.

python -m benchmarks.sweep [ENTRIES]
"""

import shutil
import sys
import uuid
from collections.abc import Iterator
from statistics import median

from benchmarks import meter
from benchmarks.__main__ import FOLDER
from benchmarks.cases import BARE, FAR, NEAR, Case
from benchmarks.corpus import PHOTO, SMALL
from benchmarks.testbed import Run, Testbed

ROUNDS = 3
SWEPT = {"download": (4, 8, 16, 32), "compose": (1, 2, 4), "upload": (4, 8, 16, 32)}


def main() -> None:
    """Print a table for small pictures from an origin with a delay of 50 ms, and for photographs."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with Testbed(FOLDER) as testbed:
        print("| pictures | stage | threads | images/s | CPU ms an image |\n|---|---|---|---|---|")
        for kind, count, stages in ((SMALL, entries, ("download", "upload")), (PHOTO, entries // 10, ("compose",))):
            case = Case(f"{kind}-{count}", kind, count, origin=FAR if kind == SMALL else NEAR)
            for stage in stages:
                for row in _rows(testbed, case, stage):
                    print(row, flush=True)


def _rows(testbed: Testbed, case: Case, stage: str) -> Iterator[str]:
    """Measure the numbers of threads in turn, so that all are measured under the same load."""
    usages: dict[int, list[meter.Usage]] = {threads: [] for threads in SWEPT[stage]}
    for _ in range(ROUNDS):
        for threads, found in usages.items():
            folder = testbed.folder / "work" / uuid.uuid4().hex
            run = Run(testbed, case, folder)
            command = [*run.command(BARE), f"--{stage}-threads", str(threads)]
            found.append(meter.run(command, environment=run.environment(BARE), folder=folder))
            shutil.rmtree(folder)
    for threads, found in usages.items():
        rate = median(case.entries / one.wall for one in found)
        cpu = median(1000 * one.cpu / case.entries for one in found)
        yield f"| {case.kind} | {stage} | {threads} | {rate:.0f} | {cpu:.2f} |"


if __name__ == "__main__":
    main()
