"""Computes what a number of images per day needs, by a simulation with the costs that `measure.py` has measured.

    python -m benchmarks.capacity                     1 million and 100 million images a day, small ones and photographs
    python -m benchmarks.capacity --images 5000000 --hours 12 --latency 0.5 --per-manifest 1000000

Prices are inputs, not the offer of a provider. Give yours with --prices FILE, in JSON. `puts` and `gets` are the prices
of a million requests:

    {"machines": [{"name": "mine", "cores": 16, "memory": 64, "hour": 0.5, "speed": 1.2}], "puts": 5.0, "gets": 0.4}
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from benchmarks.capacity.costs import load
from benchmarks.capacity.simulation import PER_RUN, Plan
from benchmarks.capacity.tables import (
    Machine,
    Prices,
    costs_column,
    limits_column,
    requirements_column,
    smallest_plan,
)


def main() -> None:
    """Print the costs, the requirements of each kind of picture, and the limits of each resource."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, action="append", help="images a day; can be options several times")
    parser.add_argument("--hours", type=float, default=20.0, help="hours in which the images of a day must be relayed")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds until an origin answers")
    parser.add_argument("--store-latency", type=float, default=0.02, help="seconds until the store answers")
    parser.add_argument("--per-task", type=int, help="entries per task; default: as many as a run chooses")
    parser.add_argument(
        "--per-manifest", type=int, default=PER_RUN, help="entries per manifest; each manifest is a dataset"
    )
    parser.add_argument("--prices", type=Path, help="JSON file, see above")
    options = parser.parse_args()
    prices = _read_prices(options.prices) if options.prices else Prices()
    amounts = options.images or [1_000_000, 100_000_000]
    assumptions = {name: getattr(options, name) for name in ("per_task", "per_manifest", "latency", "store_latency")}
    plan = Plan(max(amounts), slots=1, **assumptions)
    kinds = load()
    _print_table(["measured", *kinds], list(map(costs_column, kinds.values())))
    for kind, costs in kinds.items():
        try:
            plans = [smallest_plan(replace(plan, images=images), costs, hours=options.hours) for images in amounts]
        except ValueError as error:
            raise SystemExit(f"{kind}: {error}") from None
        heads = [kind, *(f"{images:,} images a day" for images in amounts)]
        _print_table(heads, [requirements_column(trial, day, costs, prices) for trial, day in plans])
    limits = [limits_column(plan, costs) for costs in kinds.values()]
    _print_table(["images a day at the limit of", *kinds], limits)


def _print_table(heads: list[str], columns: list[dict[str, str]]) -> None:
    rows = ([name, *(column[name] for column in columns)] for name in columns[0])
    print()
    for row in (heads, ["---"] * len(heads), *rows):
        print(f"| {' | '.join(row)} |")


def _read_prices(path: Path) -> Prices:
    options = json.loads(path.read_text())
    machines = tuple(Machine(**machine) for machine in options.pop("machines", [])) or Prices().machines
    return Prices(machines=machines, **options)


if __name__ == "__main__":
    main()
