"""Measure run time, CPU and memory of imgrelay, and compare it with its engine without Dagster and with others.

python -m benchmarks                          the quick cases, a few minutes
python -m benchmarks small-10000 photo-1000   the named cases
python -m benchmarks --all                    all cases, most of an hour
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import origin
from benchmarks.cases import CASES, OURS
from benchmarks.figures import Measurement
from benchmarks.rivals.missing import MissingContenderError
from benchmarks.testbed import SLOTS, Testbed

FOLDER = Path(__file__).parent / "scratch"


def main() -> None:
    """Measure the chosen cases. In each round all contenders run one after another, under the same load."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"one of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--all", action="store_true", help="measure all cases")
    parser.add_argument("--rounds", type=int, default=1, help="how often to measure each case")
    parser.add_argument("--only", action="append", metavar="WHO", help=f"measure only this contender, such as {OURS!r}")
    parser.add_argument("--slots", type=int, default=SLOTS, help="concurrent steps, and processes of the bare engine")
    parser.add_argument(
        "--latency", type=int, default=origin.LATENCY, help="milliseconds by which the distant origin is delayed"
    )
    parser.add_argument("--scratch", type=Path, default=FOLDER, help="folder for pictures, servers and runs")
    parser.add_argument("--save", type=Path, default=FOLDER / "figures.json", help="file for the measurements")
    options = parser.parse_args()
    origin.LATENCY = options.latency
    known = {case.name: case for case in CASES}
    if unknown := set(options.cases) - set(known):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    chosen = [known[name] for name in options.cases] or [case for case in CASES if options.all or case.quick]
    measurements: list[Measurement] = []
    missing: dict[str, str] = {}
    with Testbed(options.scratch, options.slots) as testbed:
        for case in chosen:
            for number in range(options.rounds):
                for by in (OURS, *case.rivals):
                    if options.only and by not in options.only:
                        continue
                    try:
                        measurements.append(testbed.measure(case, by, number))
                    except MissingContenderError as error:
                        missing[by] = str(error)
                        continue
                    print(_line(measurements[-1]), flush=True)
                    options.save.parent.mkdir(parents=True, exist_ok=True)
                    options.save.write_text(json.dumps([asdict(one) for one in measurements], indent=1) + "\n")
    if missing:
        sys.exit("\n".join(f"{by} was not measured: {reason}" for by, reason in missing.items()))


def _line(one: Measurement) -> str:
    stopping = f"stopped in {one.stopping:.1f} s " if one.stopping else ""
    stored = f"first {one.first_image:.1f} s gap {one.largest_gap or 0:.1f} s " if one.first_image is not None else ""
    split = " ".join(f"{name} {seconds:.1f}" for name, seconds in one.split.items())
    return (
        f"{one.case:20} {one.by:16} {one.wall:7.1f} s {one.rate:7.1f}/s {one.cpu_each:6.2f} ms CPU each "
        f"{one.memory / 2**20:5.0f} MiB staging {one.scratch / 2**20:5.1f} MiB/{one.scratch_files} "
        f"rows {one.rows} requests {one.requests} {stopping}{stored}{split}"
    )


if __name__ == "__main__":
    main()
