"""Histograms and timelines: accurate, complete and bounded."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.html_report.histograms import MAX_BUCKETS, LogHistogram, Timeline


@given(st.lists(st.floats(0.002, 500), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 1.0]))
def test_quantile_is_accurate_within_ten_percent(values: list[float], share: float):
    histogram = LogHistogram(0.001, 6)
    for value in values:
        histogram.add(value)
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    assert histogram.quantile(share) == pytest.approx(exact, rel=0.1)
    assert sum(bar.count for bar in histogram.bars()) == len(values)
    assert len(histogram.bars()) <= 30


@pytest.mark.parametrize("value", [0.0, -1.0, 1e12, 1e-12])
def test_values_out_of_range_are_counted_in_the_outer_bins(value: float):
    histogram = LogHistogram(0.001, 6)
    histogram.add(value)
    assert [bar.count for bar in histogram.bars()] == [1]
    assert histogram.total == 1


@given(st.lists(st.tuples(st.floats(0, 1e9), st.booleans()), min_size=1, max_size=50))
def test_timeline_counts_every_event_in_few_buckets(events: list[tuple[float, bool]]):
    timeline = Timeline()
    for at, bad in events:
        timeline.add(at, failed=bad)
    buckets = list(timeline.buckets())
    assert len(buckets) <= MAX_BUCKETS
    assert sum(bucket.succeeded for bucket in buckets) == sum(not bad for _, bad in events)
    assert sum(bucket.failed for bucket in buckets) == sum(bad for _, bad in events)
    assert len(buckets) * timeline.bucket_seconds >= max(at for at, _ in events) - min(at for at, _ in events)
