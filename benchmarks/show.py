"""Prints measurements as the tables of docs/performance.md, and draws its plot.

python -m benchmarks.show FIGURES.json ... [--plot PICTURE.svg]
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from benchmarks.cases import BARE, CASES, GO, IMG2DATASET, OURS, OURS_LOCAL, SHARP
from benchmarks.figures import Measurement

COLOURS = {OURS: "#2563eb", BARE: "#94a3b8", GO: "#f59e0b"}
_HEADS = (
    "case | by | load | seconds | of them the run | first image | largest gap | images/s | CPU s | CPU ms an image "
    "| memory, MiB | staging, MiB | event rows | planning | stages | report | Dagster",
    "images/s of the bare engine | the run alone | its CPU | images/s of the Go program | the run alone | its CPU",
    "case | by | images/s | CPU ms an image | memory, MiB | imgrelay's share of the seconds | of the CPU time "
    "| into a folder: of the seconds | of the CPU time",
)


def main() -> None:
    """Print the tables and draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.show", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("figures", type=Path, nargs="+")
    parser.add_argument("--plot", type=Path, help="draw the plot into this file")
    options = parser.parse_args()
    all_rounds = [Measurement(**one) for path in options.figures for one in json.loads(path.read_text())]
    print(_table(_HEADS[0], (_row(rounds) for rounds in _groups(all_rounds).values())))
    print(_table(f"imgrelay's share of | {_HEADS[1]}", _shares(all_rounds)))
    print(_table(_HEADS[2], _beside_others(all_rounds)))
    if options.plot:
        _draw(all_rounds, options.plot)


def _groups(measurements: Iterable[Measurement]) -> dict[tuple[str, str], list[Measurement]]:
    """Group the rounds by case and contender, in the order of the cases."""
    groups: dict[tuple[str, str], list[Measurement]] = {}
    order = [case.name for case in CASES]
    for one in sorted(measurements, key=lambda one: order.index(one.case)):
        groups.setdefault((one.case, one.by), []).append(one)
    return groups


def _row(rounds: list[Measurement]) -> list[str]:
    """Return a row with the medians of one contender in one case."""
    first = rounds[0]
    split = [f"{median(one.split[part] for one in rounds):.1f}" for part in first.split] or ["", "", "", ""]
    return [
        first.case,
        first.by,
        f"{median(one.load for one in rounds):.0f}",
        f"{median(one.wall for one in rounds):.1f}",
        *(_median_of(rounds, name) for name in ("inside", "first_image", "largest_gap")),
        f"{median(one.rate for one in rounds):.1f}" if first.uploaded else "",
        f"{median(one.cpu for one in rounds):.1f}",
        f"{median(one.cpu_each for one in rounds):.2f}" if first.uploaded else "",
        f"{max(one.memory for one in rounds) / 2**20:.0f}",
        f"{max(one.scratch for one in rounds) / 2**20:.1f}",
        "" if first.rows is None else str(first.rows),
        *split,
    ]


def _median_of(rounds: list[Measurement], name: str) -> str:
    """Return the median of an attribute in seconds, or nothing if a round does not have it."""
    values = [getattr(one, name) for one in rounds]
    return f"{median(values):.1f}" if all(value is not None for value in values) else ""


def _shares(measurements: list[Measurement]) -> Iterable[list[str]]:
    """Yield rows with the median of our images per second divided by a rival's, and of our CPU divided by its."""
    groups = _groups(measurements)
    for (case, by), ours in groups.items():
        if by != OURS:
            continue
        cells = [case]
        for rival in (BARE, GO):
            pairs = list(zip(ours, groups.get((case, rival), []), strict=False))
            for share in (
                lambda a, b: a.rate / b.rate,
                lambda a, b: (b.inside or b.wall) / (a.inside or a.wall),
                lambda a, b: a.cpu_each / b.cpu_each,
            ):
                cells.append(f"{median(share(a, b) for a, b in pairs):.2f}" if pairs else "")
        if any(cells[1:]):
            yield cells


def _beside_others(measurements: list[Measurement]) -> Iterable[list[str]]:
    """Yield rows with the figures of each contender, and of imgrelay's time and CPU divided by its."""
    groups = _groups(measurements)
    for case in dict.fromkeys(case for case, by in groups if by in (IMG2DATASET, SHARP)):
        for by in (OURS, OURS_LOCAL, IMG2DATASET, SHARP, GO):
            if rounds := groups.get((case, by), []):
                rate, cpu = median(one.rate for one in rounds), median(one.cpu_each for one in rounds)
                memory = max(one.memory for one in rounds) / 2**20
                shares = [
                    _share(groups, case, ours, by, what) for ours in (OURS, OURS_LOCAL) for what in ("wall", "cpu")
                ]
                yield [case, by, f"{rate:.1f}", f"{cpu:.2f}", f"{memory:.0f}", *shares]


def _share(groups: dict[tuple[str, str], list[Measurement]], case: str, ours: str, by: str, what: str) -> str:
    """Return the median of our figure divided by another's, or nothing for figures of our own."""
    pairs = list(zip(groups.get((case, ours), []), groups[case, by], strict=False))
    if by in (OURS, OURS_LOCAL) or not pairs:
        return ""
    return f"{median(getattr(own, what) / getattr(other, what) for own, other in pairs):.2f}"


def _table(head: str, rows: Iterable[list[str]]) -> str:
    lines = [f"| {head} |", f"|{'---|' * (head.count('|') + 1)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _draw(measurements: list[Measurement], path: Path) -> None:
    """Draw images per second and CPU per image, by case, side by side."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - slow to load

    groups = _groups(measurements)
    cases = list(dict.fromkeys(case for case, by in groups if by == BARE))
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "imgrelay"})
    picture, (fast, cheap) = plt.subplots(1, 2, figsize=(10, 0.6 + 0.5 * len(cases)), sharey=True)
    height = 0.26
    for axes, what, value in (
        (fast, "images a second, more is better", lambda one: one.rate),
        (cheap, "CPU milliseconds an image, less is better (log)", lambda one: one.cpu_each),
    ):
        for number, by in enumerate((OURS, BARE, GO)):
            shown = [(row, groups[case, by]) for row, case in enumerate(cases) if (case, by) in groups]
            values = [median(map(value, rounds)) for _, rounds in shown]
            places = [row + (number - 1) * height for row, _ in shown]
            bars = axes.barh(places, values, height * 0.9, color=COLOURS[by], label=by)
            axes.bar_label(bars, fmt="%.3g", padding=2, fontsize=7, color="#475569")
        axes.set_title(what, fontsize=9, loc="left")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    cheap.set_xscale("log")
    fast.set_yticks(range(len(cases)), cases)
    fast.invert_yaxis()
    for axes in (fast, cheap):
        axes.margins(x=0.12)
    fast.legend(frameon=False, fontsize=8)
    picture.tight_layout()
    picture.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


if __name__ == "__main__":
    main()
