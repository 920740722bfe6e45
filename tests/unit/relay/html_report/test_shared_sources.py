"""Pictures that answer several URLs: counted once for each URL, in bounded memory, and shown in the report."""

import json
import tracemalloc
from hashlib import sha256

import pytest

from imgrelay_dagster.relay.html_report.render import write_html_report
from imgrelay_dagster.relay.html_report.shared_sources import SharedSources
from imgrelay_dagster.relay.html_report.statistics import RunStatistics
from imgrelay_dagster.relay.outcomes import Reason, Record, changed
from imgrelay_dagster.relay.records.summary import dump_summary
from imgrelay_dagster.relay.results.writer import RunTotals
from tests.support.reports import SETTINGS, failed, store_with_image, summary_of, uploaded


def image(line: int, digest: str, url: str | None = None) -> Record:
    return uploaded(line, url or f"https://one.example/{line}.jpg", key="a.png", source_sha256=digest)


def test_pictures_of_at_least_three_urls_are_shared_most_urls_first():
    sources = SharedSources()
    for line in range(1, 5):
        sources.add(image(line, "b" * 64))
    for line in range(5, 13):
        sources.add(image(line, "a" * 64))
    for line in (13, 14):
        sources.add(image(line, "c" * 64))
    assert [(source.digest[0], source.urls, source.line) for source in sources.shared()] == [("a", 8, 5), ("b", 4, 1)]
    assert sources.sentence() == "2 pictures answer 12 URLs"


def test_repeated_urls_and_failed_entries_do_not_count():
    sources = SharedSources()
    for line in range(1, 9):
        sources.add(image(line, "a" * 64, "https://one.example/same.jpg"))
        sources.add(failed(line, f"https://bad.example/{line}", Reason.REJECTED_SOURCE, source_sha256="a" * 64))
        sources.add(uploaded(line, f"https://old.example/{line}"))  # of a version that kept no digest
    assert sources.sentence() == ""


@pytest.mark.memory
def test_placeholder_among_a_hundred_thousand_pictures_is_found_in_bounded_memory():
    sources = SharedSources()
    record = image(1, "a" * 64)
    tracemalloc.start()
    for line in range(1, 100_001):
        digest = "a" * 64 if line % 100 == 0 else sha256(str(line).encode()).hexdigest()
        sources.add(changed(record, line=line, url=f"https://one.example/{line}.jpg", source_sha256=digest))
    allocated = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert sources.sentence() == "1 picture answers 1,000 URLs"
    assert allocated < 16_000_000


def test_report_shows_shared_pictures_and_summary_names_them():
    records = [image(line, "a" * 64) for line in range(1, 413)]
    totals = RunTotals("run1", SETTINGS, RunStatistics("run1"))
    for record in records:
        totals.add(record)
    store = store_with_image()
    assert write_html_report(store, summary_of(records), SETTINGS, totals.statistics)
    html = bytes(store.get("_relay/birds/runs/run1/report.html").bytes()).decode()
    assert "1 picture answers 412 URLs" in html
    assert "a" * 64 in html
    assert 'alt="image of line 1"' in html
    assert json.loads(dump_summary(totals.summary(1.0, None)))["shared_sources"] == {"a" * 64: 412}
    assert "shared_sources" not in json.loads(dump_summary(summary_of([])))
