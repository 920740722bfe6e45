"""Statistics of a run: samples and hosts are bounded; requests are counted once."""

import tracemalloc
from dataclasses import replace

import pytest

from imgrelay_dagster.relay.html_report.host_statistics import MAX_HOSTS
from imgrelay_dagster.relay.html_report.statistics import MAX_EXAMPLES, SHEET_SIZE, RunStatistics
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Seconds, Stage, changed
from tests.support.reports import failed, uploaded


@pytest.mark.memory
def test_many_hosts_need_bounded_memory_and_the_worst_are_found():
    statistics = RunStatistics("run1")
    for line in range(1, 501):
        statistics.add(failed(line, "https://bad.example/x"))
        statistics.add(uploaded(line, "https://slow.example/x", seconds=Seconds(9.0)))
    record = uploaded(1)
    tracemalloc.start()
    for line in range(1, 15_001):
        key, url = f"one.example/{line}.jpg", f"https://host-{line}.example/x"
        statistics.add(changed(record, line=line, url=url, key=key, at=1000.0 + line / 10))
    allocated = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert allocated < 2_000_000
    assert len(statistics.hosts) <= MAX_HOSTS
    assert not statistics.hosts.complete
    assert statistics.hosts.most_failed(3)[0][0] == "bad.example"
    name, host = statistics.hosts.slowest(3)[0]
    assert (name, host.downloads, host.mean_seconds) == ("slow.example", 500, 9.0)


def test_samples_are_bounded_and_reproducible():
    first, again = RunStatistics("run1"), RunStatistics("run1")
    for statistics in (first, again):
        for line in range(1, 2000):
            statistics.add(uploaded(line))
            statistics.add(failed(line))
    assert len(first.stored_sample) == SHEET_SIZE
    assert len(first.examples_of(Reason.TIMEOUT)) == MAX_EXAMPLES
    assert first.stored_sample == again.stored_sample
    assert {stored.line > 1000 for stored in first.stored_sample} == {True, False}


def test_entries_without_requests_are_not_counted_as_requests():
    statistics = RunStatistics("run1")
    statistics.add(uploaded(1))
    statistics.add(uploaded(2, attempts=0, bytes_in=None, seconds=Seconds()))
    statistics.add(replace(uploaded(3), outcome=Outcome.UNCHANGED, attempts=0, bytes_in=None, at=None))
    assert statistics.requests == 1
    assert statistics.bytes_out.total == statistics.stage_seconds[Stage.DOWNLOAD].total == 1
    assert sum(bucket.succeeded for bucket in statistics.timeline.buckets()) == 1
    assert len(statistics.stored_sample) == 3
