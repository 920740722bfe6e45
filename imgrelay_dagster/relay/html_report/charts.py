"""Bars for the page: heights in percent, and few labels that do not run into each other."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.html_report.histograms import LogBins, Timeline

LABELS = 5
"""Labels beneath a chart; more would touch on a phone."""


@dataclass(frozen=True, slots=True)
class Column:
    """A bar, and the failed part on top of it, as percentages of the chart's height; what it says when pointed at."""

    height: float
    failed: float
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """Words beneath the chart, at this percentage of its width."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart: its columns, the words beneath it, what its full height stands for."""

    columns: tuple[Column, ...]
    labels: tuple[Label, ...]
    top: str
    note: str


def timeline_chart(course: Timeline) -> Chart | None:
    """Images a second over the time of the run; None for a run that ended nothing."""
    spans = list(course.spans())
    if not spans:
        return None
    tallest = max(span.done + span.failed for span in spans)
    top = _nice(tallest / course.width) * course.width
    columns = tuple(
        Column(
            100 * span.done / top,
            100 * span.failed / top,
            f"after {formatting.seconds(index * course.width)}: "
            f"{formatting.significant(span.done / course.width)} images/s"
            + (f", {formatting.count(span.failed)} failed" if span.failed else ""),
        )
        for index, span in enumerate(spans)
    )
    whole = len(spans) * course.width
    step = _nice_seconds(whole / LABELS)
    labels = tuple(
        Label(100 * number * step / whole, formatting.seconds(number * step)) for number in range(int(whole / step) + 1)
    )
    note = f"each bar is {formatting.seconds(course.width)}"
    return Chart(columns, labels, f"{formatting.significant(top / course.width)}/s", note)


def spread_chart(bins: LogBins, unit: Callable[[float], str]) -> Chart | None:
    """How values are spread, on a logarithmic scale; None where there are none."""
    bars = bins.bars()
    if not bars:
        return None
    tallest = max(bar.count for bar in bars)
    columns = tuple(
        Column(100 * bar.count / tallest, 0.0, f"{unit(bar.low)} to {unit(bar.high)}: {formatting.count(bar.count)}")
        for bar in bars
    )
    every = max(1, math.ceil(len(bars) / LABELS))
    edges = [bar.low for bar in bars] + [bars[-1].high]
    labels = tuple(Label(100 * index / len(bars), unit(edges[index])) for index in range(0, len(edges), every))
    note = (
        f"half below {unit(bins.quantile(0.5))}, 95 % below {unit(bins.quantile(0.95))}, largest {unit(bins.largest)}"
    )
    return Chart(columns, labels, formatting.count(tallest), note)


_NICE = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_NICE_SECONDS: Sequence[float] = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


def _nice(number: float) -> float:
    """A round number that is not below this one."""
    power = 10.0 ** math.floor(math.log10(number))
    return next((step * power for step in _NICE if step * power >= number * 0.9999), 10 * power)


def _nice_seconds(number: float) -> float:
    """A round time that is not below this one."""
    hours = 3600.0 * math.ceil(number / 3600)
    return next((step for step in _NICE_SECONDS if step >= number), hours)
