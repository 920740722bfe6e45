"""Histograms of any number of values in bounded memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

BINS_PER_DECADE = 24
"""With these bins a quantile is off by at most 10 %."""

MAX_BUCKETS = 96
"""Buckets of a timeline, each of them one bar."""


@dataclass(frozen=True, slots=True)
class HistogramBar:
    """The number of values from `low` (inclusive) to `high` (exclusive)."""

    low: float
    high: float
    count: int


class LogHistogram:
    """Counts values in bins of equal ratio.

    Args:
        lowest: the lower end of the scale; smaller values are counted in the first bin.
        decades: powers of ten above `lowest`; larger values are counted in the last bin.

    Attributes:
        total: the number of values.
        sum: the sum of the values.
        largest: the largest value; 0 when there are none.
    """

    def __init__(self, lowest: float, decades: int) -> None:
        self._lowest = lowest
        self._counts = [0] * (decades * BINS_PER_DECADE)
        self.total = 0
        self.sum = 0.0
        self.largest = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        index = int(BINS_PER_DECADE * math.log10(value / self._lowest)) if value > self._lowest else 0
        self._counts[min(index, len(self._counts) - 1)] += 1
        self.total += 1
        self.sum += value
        self.largest = max(self.largest, value)

    def quantile(self, share: float) -> float:
        """Return the value below which about this share (0 to 1) of the values lie; 0 when there are none."""
        remaining = share * self.total
        for index, count in enumerate(self._counts):
            remaining -= count
            if count and remaining <= 0:
                return min(self.largest, self._edge(index + 0.5))
        return self.largest

    def bars(self, limit: int = 30) -> list[HistogramBar]:
        """Return the bins from the first to the last non-empty one, merged into at most `limit` bars."""
        filled = [index for index, count in enumerate(self._counts) if count]
        if not filled:
            return []
        width = 4  # six bars per decade
        while filled[-1] // width - filled[0] // width >= limit:
            width *= 2
        return [
            HistogramBar(self._edge(start), self._edge(start + width), sum(self._counts[start : start + width]))
            for start in range(filled[0] // width * width, filled[-1] + 1, width)
        ]

    def _edge(self, index: float) -> float:
        return self._lowest * 10 ** (index / BINS_PER_DECADE)


@dataclass(slots=True)
class TimeBucket:
    """The number of events in one interval of a timeline."""

    succeeded: int = 0
    failed: int = 0


class Timeline:
    """Counts events over time, without knowing the duration in advance.

    Starts with short buckets. Whenever there would be more than `MAX_BUCKETS`, each two are merged into one.

    Attributes:
        bucket_seconds: the present length of a bucket.
    """

    def __init__(self) -> None:
        self.bucket_seconds = 0.5
        self._buckets: dict[int, TimeBucket] = {}
        self._first = self._last = 0

    def add(self, at: float, *, failed: bool) -> None:
        """Count one event at time `at`, in seconds since any epoch."""
        index = int(at // self.bucket_seconds)
        if not self._buckets:
            self._first = self._last = index
        self._first, self._last = min(self._first, index), max(self._last, index)
        while self._last - self._first >= MAX_BUCKETS:
            self._merge_buckets()
            index //= 2
        bucket = self._buckets.setdefault(index, TimeBucket())
        if failed:
            bucket.failed += 1
        else:
            bucket.succeeded += 1

    def _merge_buckets(self) -> None:
        narrow, self._buckets = self._buckets, {}
        for index, bucket in narrow.items():
            merged = self._buckets.setdefault(index // 2, TimeBucket())
            merged.succeeded += bucket.succeeded
            merged.failed += bucket.failed
        self.bucket_seconds *= 2
        self._first, self._last = self._first // 2, self._last // 2

    def buckets(self) -> Iterator[TimeBucket]:
        """Yield every bucket from the first event to the last, including empty ones."""
        if self._buckets:
            yield from (self._buckets.get(index, TimeBucket()) for index in range(self._first, self._last + 1))
