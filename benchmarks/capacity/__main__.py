"""What so and so many images a day need, simulated with the costs that `measure.py` measured.

    python -m benchmarks.capacity                     1 million and 100 million small images and photographs a day
    python -m benchmarks.capacity --images 5000000 --hours 12 --latency 0.5 --per-manifest 1000000

Prices are inputs: they are nobody's offer. Give yours by --prices FILE, in JSON, those of requests for a million:

    {"machines": [{"name": "mine", "cores": 16, "memory": 64, "hour": 0.5, "speed": 1.2}], "puts": 5.0, "gets": 0.4}
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from benchmarks.capacity.costs import load
from benchmarks.capacity.needs import Machine, Prices, carries, measured, needs, smallest
from benchmarks.capacity.plant import PER_RUN, Plan


def main() -> None:
    """Print a table for each kind of picture and number of images, and what one of each thing carries."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, action="append", help="images a day; may be given several times")
    parser.add_argument("--hours", type=float, default=20.0, help="hours of the day in which they are to be relayed")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds that an origin takes for an image")
    parser.add_argument("--store-latency", type=float, default=0.02, help="seconds that the store takes for a request")
    parser.add_argument("--per-task", type=int, help="entries in a task; as many as runs choose, if not given")
    parser.add_argument("--per-manifest", type=int, default=PER_RUN, help="entries in a manifest, a dataset of its own")
    parser.add_argument("--prices", type=Path, help="a JSON file, see above")
    given = parser.parse_args()
    prices = _prices(given.prices) if given.prices else Prices()
    amounts = given.images or [1_000_000, 100_000_000]
    options = {name: getattr(given, name) for name in ("per_task", "per_manifest", "latency", "store_latency")}
    plan = Plan(max(amounts), slots=1, **options)
    kinds = load()
    _print(["measured", *kinds], list(map(measured, kinds.values())))
    for kind, costs in kinds.items():
        try:
            found = [smallest(replace(plan, images=images), costs, hours=given.hours) for images in amounts]
        except ValueError as error:
            raise SystemExit(f"{kind}: {error}") from None
        heads = [kind, *(f"{images:,} images a day" for images in amounts)]
        _print(heads, [needs(trial, day, costs, prices) for trial, day in found])
    limits = [carries(plan, costs) for costs in kinds.values()]
    _print(["images a day that one carries", *kinds], limits)


def _print(heads: list[str], columns: list[dict[str, str]]) -> None:
    rows = ([name, *(column[name] for column in columns)] for name in columns[0])
    print()
    for row in (heads, ["---"] * len(heads), *rows):
        print(f"| {' | '.join(row)} |")


def _prices(path: Path) -> Prices:
    given = json.loads(path.read_text())
    machines = tuple(Machine(**machine) for machine in given.pop("machines", [])) or Prices().machines
    return Prices(machines=machines, **given)


if __name__ == "__main__":
    main()
