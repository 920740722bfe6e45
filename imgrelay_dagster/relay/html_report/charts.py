"""Bar charts as percentages, with few enough labels that they do not overlap."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.html_report.histograms import LogHistogram, Timeline

MAX_LABELS = 5
"""Labels below a chart; more would overlap on a phone."""


@dataclass(frozen=True, slots=True)
class Column:
    """A bar, the bar of failures stacked on it, and the tooltip. Heights are percentages of the chart's height."""

    height: float
    failed_height: float
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """A text below the chart, at `position` percent of its width."""

    position: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart. `max_label` is the value at its full height; `note` describes the chart in words.

    Without columns it is only the note: a single bar shows nothing.
    """

    columns: tuple[Column, ...]
    labels: tuple[Label, ...]
    max_label: str
    note: str


def timeline_chart(timeline: Timeline) -> Chart | None:
    """Chart the images per second over the run; None when the timeline is empty."""
    buckets, width = list(timeline.buckets()), timeline.bucket_seconds
    if not buckets:
        return None
    if len(buckets) == 1:
        return Chart((), (), "", f"all within {formatting.seconds(width)}")
    tallest = max(bucket.succeeded + bucket.failed for bucket in buckets)
    top = _round_up(tallest / width) * width
    columns = tuple(
        Column(
            100 * bucket.succeeded / top,
            100 * bucket.failed / top,
            f"after {formatting.seconds(index * width)}: {formatting.significant(bucket.succeeded / width)} images/s"
            + (f", {formatting.count(bucket.failed)} failed" if bucket.failed else ""),
        )
        for index, bucket in enumerate(buckets)
    )
    duration = len(buckets) * width
    step = _round_up_seconds(duration / MAX_LABELS)
    labels = tuple(
        Label(100 * number * step / duration, formatting.seconds(number * step))
        for number in range(int(duration / step) + 1)
    )
    note = f"each bar is {formatting.seconds(width)}"
    return Chart(columns, labels, f"{formatting.significant(top / width)}/s", note)


def histogram_chart(histogram: LogHistogram, unit: Callable[[float], str]) -> Chart | None:
    """Chart the distribution of values on a logarithmic scale; None when there are none.

    Args:
        unit: formats a value with its unit.
    """
    bars = histogram.bars()
    if not bars:
        return None
    if len(bars) == 1:
        values = "one value" if bars[0].count == 1 else f"{formatting.count(bars[0].count)} values"
        return Chart((), (), "", f"{values}, {unit(histogram.quantile(0.5))}")
    tallest = max(bar.count for bar in bars)
    columns = tuple(
        Column(100 * bar.count / tallest, 0.0, f"{unit(bar.low)} to {unit(bar.high)}: {formatting.count(bar.count)}")
        for bar in bars
    )
    step = max(1, math.ceil(len(bars) / MAX_LABELS))
    edges = [bar.low for bar in bars] + [bars[-1].high]
    labels = tuple(Label(100 * index / len(bars), unit(edges[index])) for index in range(0, len(edges), step))
    median, percentile_95 = histogram.quantile(0.5), histogram.quantile(0.95)
    note = f"median {unit(median)}, 95th percentile {unit(percentile_95)}, maximum {unit(histogram.largest)}"
    return Chart(columns, labels, formatting.count(tallest), note)


_ROUND_NUMBERS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_ROUND_SECONDS: Sequence[float] = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


def _round_up(number: float) -> float:
    """Return the next round number; `number` itself if it is round."""
    power = 10.0 ** math.floor(math.log10(number))
    return next((step * power for step in _ROUND_NUMBERS if step * power >= number * 0.9999), 10 * power)


def _round_up_seconds(seconds: float) -> float:
    """Return the next round duration in seconds; whole hours above one hour."""
    hours = 3600.0 * math.ceil(seconds / 3600)
    return next((step for step in _ROUND_SECONDS if step >= seconds), hours)
