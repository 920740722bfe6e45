"""Histograms that take any number of values in bounded memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

FINE = 24
"""Bins a decade: a quantile is off by at most 10 %."""

MOST_BUCKETS = 96
"""Bars in a course of time."""


@dataclass(frozen=True, slots=True)
class HistogramBar:
    """How many values lie from `low` to below `high`."""

    low: float
    high: float
    count: int


class LogBins:
    """Counts values in bins of equal ratio.

    Args:
        lowest: upper end of the values that are not told apart at the low end.
        decades: powers of ten from there; what is larger is counted in the last bin.
    """

    def __init__(self, lowest: float, decades: int) -> None:
        self._lowest = lowest
        self._counts = [0] * (decades * FINE)
        self.total = 0
        self.sum = 0.0
        self.largest = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        index = int(FINE * math.log10(value / self._lowest)) if value > self._lowest else 0
        self._counts[min(index, len(self._counts) - 1)] += 1
        self.total += 1
        self.sum += value
        self.largest = max(self.largest, value)

    def quantile(self, share: float) -> float:
        """The value below which about this share (0 to 1) of the values lie; 0 where there are none."""
        left = share * self.total
        for index, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                return min(self.largest, self._edge(index + 0.5))
        return self.largest

    def bars(self, most: int = 30) -> list[HistogramBar]:
        """The bins from the first to the last that hold anything, put together to at most `most`."""
        held = [index for index, count in enumerate(self._counts) if count]
        if not held:
            return []
        width = 4  # six a decade
        while held[-1] // width - held[0] // width >= most:
            width *= 2
        return [
            HistogramBar(self._edge(start), self._edge(start + width), sum(self._counts[start : start + width]))
            for start in range(held[0] // width * width, held[-1] + 1, width)
        ]

    def _edge(self, index: float) -> float:
        return self._lowest * 10 ** (index / FINE)


@dataclass(slots=True)
class TimeBucket:
    """What ended in one span of time: how many well, how many badly."""

    done: int = 0
    failed: int = 0


class Timeline:
    """Counts events over a time that is not known beforehand: spans double when there would be too many."""

    def __init__(self) -> None:
        self.width = 0.5
        self._spans: dict[int, TimeBucket] = {}
        self._first = self._last = 0

    def add(self, at: float, *, failed: bool) -> None:
        """Count one event at this time, in seconds since any epoch."""
        index = int(at // self.width)
        if not self._spans:
            self._first = self._last = index
        self._first, self._last = min(self._first, index), max(self._last, index)
        while self._last - self._first >= MOST_BUCKETS:
            self._widen()
            index //= 2
        span = self._spans.setdefault(index, TimeBucket())
        if failed:
            span.failed += 1
        else:
            span.done += 1

    def _widen(self) -> None:
        narrow, self._spans = self._spans, {}
        for index, span in narrow.items():
            wide = self._spans.setdefault(index // 2, TimeBucket())
            wide.done += span.done
            wide.failed += span.failed
        self.width *= 2
        self._first, self._last = self._first // 2, self._last // 2

    def spans(self) -> Iterator[TimeBucket]:
        """Every span from the first event to the last."""
        if self._spans:
            yield from (self._spans.get(index, TimeBucket()) for index in range(self._first, self._last + 1))
