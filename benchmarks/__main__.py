"""Measure what imgrelay costs, beside the same engine without Dagster and beside others.

python -m benchmarks                          the quick cases, a few minutes
python -m benchmarks small-10000 photo-1000   these
python -m benchmarks --all                    all, most of an hour
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.arena import SLOTS, Arena
from benchmarks.cases import CASES, OURS
from benchmarks.figures import Figures

FOLDER = Path(__file__).parent / "scratch"


def main() -> None:
    """Measure the cases that are asked for, one round after the other, so that all contenders meet the same weather."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--all", action="store_true", help="all cases")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured; the median counts")
    parser.add_argument("--only", action="append", metavar="WHO", help=f"measure this contender only, such as {OURS!r}")
    parser.add_argument("--slots", type=int, default=SLOTS, help="steps at once, and processes of the bare engine")
    parser.add_argument("--scratch", type=Path, default=FOLDER, help="where pictures, servers and runs lie")
    parser.add_argument("--save", type=Path, default=FOLDER / "figures.json", help="where the figures go")
    given = parser.parse_args()
    known = {case.name: case for case in CASES}
    if unknown := set(given.cases) - set(known):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    chosen = [known[name] for name in given.cases] or [case for case in CASES if given.all or case.quick]
    found: list[Figures] = []
    with Arena(given.scratch, given.slots) as arena:
        for case in chosen:
            for number in range(given.rounds):
                for by in (OURS, *case.rivals):
                    if given.only and by not in given.only:
                        continue
                    found.append(arena.measure(case, by, number))
                    print(_line(found[-1]), flush=True)
                    given.save.parent.mkdir(parents=True, exist_ok=True)
                    given.save.write_text(json.dumps([asdict(figures) for figures in found], indent=1) + "\n")


def _line(one: Figures) -> str:
    stopping = f"stopped in {one.stopping:.1f} s " if one.stopping else ""
    split = " ".join(f"{name} {seconds:.1f}" for name, seconds in one.split.items())
    return (
        f"{one.case:20} {one.by:12} {one.wall:7.1f} s {one.rate:7.1f}/s {one.cpu_each:6.2f} ms CPU each "
        f"{one.memory / 2**20:5.0f} MiB staging {one.scratch / 2**20:5.1f} MiB/{one.scratch_files} "
        f"rows {one.rows} requests {one.requests} {stopping}{split}"
    )


if __name__ == "__main__":
    main()
