"""`report.html`: true, small, and harmless whatever the manifest and its servers say."""

import io
import math
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore
from PIL import Image

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.relay.formatting import percent, seconds, size
from imgrelay_dagster.relay.html_report.contact_sheet import LARGEST_SHEET, thumbnails
from imgrelay_dagster.relay.html_report.histograms import MOST_BUCKETS, LogBins, Timeline
from imgrelay_dagster.relay.html_report.host_statistics import MOST_HOSTS
from imgrelay_dagster.relay.html_report.render import render, write_page
from imgrelay_dagster.relay.html_report.statistics import EXAMPLES, SHEET, RunStatistics, Stored
from imgrelay_dagster.relay.html_report.view_model import build_view_model
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.outcomes import MEANINGS, Outcome, Reason, Record, Seconds, Stage
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.layout import REPORT, run_receipts
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings
from tests.integration.test_cli import Command
from tests.support.browser import chromium, watched
from tests.support.running import run_folder
from tests.support.stored import write_manifest

SETTINGS = Settings(dataset="birds", destination="s3://shop/birds")
SECRET = "token=s3cr3t"


def uploaded(line: int, url: str = "https://one.example/a.jpg", **more: object) -> Record:
    values = {
        "key": f"one.example/{line}.jpg",
        "fingerprint": "f",
        "attempts": 1,
        "bytes_in": 20_000,
        "bytes_out": 15_000,
        "width": 40,
        "height": 30,
        "seconds": Seconds(0.2, 0.01, 0.02),
        "at": 1000.0 + line / 10,
        **more,
    }
    return Record(line, url, outcome=Outcome.UPLOADED, **values)


def failed(
    line: int, url: str = "https://one.example/b.jpg", reason: Reason = Reason.TIMEOUT, **more: object
) -> Record:
    values = {"fingerprint": "f", "attempts": 3, "at": 1000.0 + line / 10, "detail": "no byte for 10 s", **more}
    return Record(line, url, outcome=Outcome.FAILED, reason=reason, **values)


def summary_of(records: list[Record], **more: object) -> Summary:
    outcomes = [record.outcome for record in records]
    reasons = [record.reason.value for record in records if record.reason]
    values = {
        "run_id": "run1",
        "dataset": "birds",
        "status": "success",
        "entries": len(records),
        "uploaded": outcomes.count(Outcome.UPLOADED),
        "unchanged": outcomes.count(Outcome.UNCHANGED),
        "failed": outcomes.count(Outcome.FAILED),
        "not_attempted": outcomes.count(Outcome.NOT_ATTEMPTED),
        "reasons": {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)},
        "bytes_in": 1,
        "bytes_out": 1,
        "seconds": 12.5,
        "images_per_second": 3.4,
        **more,
    }
    return Summary(**values)


def page_of(records: list[Record], options: Settings = SETTINGS, **more: object) -> str:
    gathered = RunStatistics("run1")
    for record in records:
        gathered.add(record)
    return render(build_view_model(summary_of(records, **more), options, gathered, [], now=0.0))


class Reader(HTMLParser):
    """The page's elements and the names of their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


HOSTILE = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "</style><script>alert(1)</script>",
            "\"'><img src=x onerror=alert(1)>",
            "' onmouseover='alert(1)",
            "\x1b]0;owned\x07\x1b[2J",
            "{{ 7 * 7 }}{% include 'x' %}",
            "&lt;b&gt; &#60;i&#62; \u202egpj.exe",
            "<!-- --!> <![CDATA[ ]]>",
            "\ud800 \x00",
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(url=HOSTILE, words=st.fixed_dictionaries(dict.fromkeys(("key", "detail", "dataset", "template"), HOSTILE)))
def test_hostile_text_never_becomes_markup(url: str, words: dict[str, str]) -> None:
    """The page has the same elements and attributes as one of harmless text, and no control characters."""

    def page(make_url: str, words: dict[str, str]) -> Reader:
        detail = words["detail"] or "harmless"
        records = [
            uploaded(1, make_url, key=words["key"] or "harmless"),
            failed(2, make_url, detail=detail),
            failed(3, make_url, reason=Reason.INVALID_ENTRY, fingerprint=None, attempts=0, detail=detail),
        ]
        gathered = RunStatistics("run1")
        for record in records:
            gathered.add(record)
        summary = summary_of(records, dataset=words["dataset"], run_id=words["dataset"])
        options = replace(SETTINGS, template=words["template"], destination=f"s3://b/{words['dataset']}")
        picture = replace(SMALL, stored=Stored(1, words["key"], 1, 1))
        html = render(build_view_model(summary, options, gathered, [picture], now=0.0))
        assert not [char for char in html if ord(char) < 32 and char != "\n"]
        html.encode()
        return Reader(html)

    plain = page("https://h/harmless", dict.fromkeys(words, "harmless"))
    for hostile_url in (url, f"https://h/{url}", f"https://{url}/a"):
        assert page(hostile_url, words).elements == plain.elements


def _picture_store() -> MemoryStore:
    store = MemoryStore()
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(buffer, "png")
    store.put("a.png", buffer.getvalue())
    return store


PICTURE = _picture_store()
(SMALL,) = thumbnails(PICTURE, [Stored(1, "a.png", 4, 3)])


def test_queries_and_user_info_are_not_shown():
    url = f"https://me:pa55word@one.example/b.jpg?{SECRET}"
    html = page_of([uploaded(1, url), failed(2, url, detail=f"asked {url} in vain")])
    assert "one.example/b.jpg" in html
    assert "s3cr3t" not in html
    assert "pa55word" not in html


def test_the_page_tells_what_happened():
    records = [
        *(uploaded(line) for line in range(1, 8)),
        failed(8),
        failed(9, reason=Reason.HTTP_STATUS, http_status=404),
    ]
    records.append(Record(10, "https://one.example/c.jpg", outcome=Outcome.NOT_ATTEMPTED))
    html = page_of(records, status="canceled")
    text = " ".join(Reader(html).text.split())
    assert "7 of 10 images are stored, 2 failed, 1 was not attempted: launch the same manifest again." in text
    assert "404 × 1" in text
    assert MEANINGS[Reason.TIMEOUT] in text
    assert "one.example29timeout" in text
    assert 'href="results.jsonl"' in html
    assert "frame over the whole image" in text
    assert "Pillow" in text


def test_every_reason_has_its_meaning():
    assert set(MEANINGS) == set(Reason)


def test_ten_thousand_of_the_worst_entries_make_less_than_a_megabyte():
    """Every reason, ten thousand hosts, long text that is escaped to five times its length, and pictures of noise."""
    store, gathered, records = MemoryStore(), RunStatistics("run1"), []
    noise = Image.effect_noise((400, 300), 120)
    noise.save(file := io.BytesIO(), "png")
    store.put("noise.png", file.getvalue())
    reasons = list(Reason)
    for line in range(1, 10_001):
        url = f"https://{'x' * 60}.{'y' * 60}.{line}.example/{'<' * 400}"
        if line % 2:
            record = uploaded(line, url, key="noise.png")
        else:
            record = failed(line, url, reasons[line // 2 % len(reasons)], detail="'" * 400, http_status=400 + line % 90)
        records.append(record)
        gathered.add(record)
    pictures = thumbnails(store, gathered.stored)
    assert pictures
    assert sum(len(picture.uri) for picture in pictures) <= LARGEST_SHEET
    html = render(build_view_model(summary_of(records), SETTINGS, gathered, pictures, now=0.0))
    assert len(html.encode()) < 1_000_000


def test_many_hosts_cost_bounded_memory_and_the_worst_are_still_found():
    gathered = RunStatistics("run1")
    for line in range(1, 501):
        gathered.add(failed(line, "https://bad.example/x"))
        gathered.add(uploaded(line, "https://slow.example/x", seconds=Seconds(9.0)))
    tracemalloc.start()
    for line in range(1, 30_001):
        gathered.add(uploaded(line, f"https://host-{line}.example/x"))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 2_000_000
    assert len(gathered.hosts) <= MOST_HOSTS
    assert not gathered.hosts.complete
    assert gathered.hosts.most_failed(3)[0][0] == "bad.example"
    name, host = gathered.hosts.slowest(3)[0]
    assert (name, host.downloads, host.mean) == ("slow.example", 500, 9.0)


def test_samples_are_bounded_and_the_same_for_the_same_run():
    first, again = RunStatistics("run1"), RunStatistics("run1")
    for gathered in (first, again):
        for line in range(1, 2000):
            gathered.add(uploaded(line))
            gathered.add(failed(line))
    assert len(first.stored) == SHEET
    assert len(first.examples_of(Reason.TIMEOUT)) == EXAMPLES
    assert first.stored == again.stored
    assert {stored.line > 1000 for stored in first.stored} == {True, False}


def test_repeated_and_unchanged_entries_are_no_requests():
    gathered = RunStatistics("run1")
    gathered.add(uploaded(1))
    gathered.add(uploaded(2, attempts=0, bytes_in=None, seconds=Seconds()))
    gathered.add(replace(uploaded(3), outcome=Outcome.UNCHANGED, attempts=0, bytes_in=None, at=None))
    assert gathered.requests == 1
    assert gathered.bytes_out.total == gathered.seconds[Stage.DOWNLOAD].total == 1
    assert sum(span.done for span in gathered.course.spans()) == 1
    assert len(gathered.stored) == 3


@given(st.lists(st.floats(0.002, 500), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_is_right_within_a_tenth(values: list[float], share: float):
    bins = LogBins(0.001, 6)
    for value in values:
        bins.add(value)
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    assert bins.quantile(share) == pytest.approx(exact, rel=0.1)
    assert sum(bar.count for bar in bins.bars()) == len(values)
    assert len(bins.bars()) <= 30


@pytest.mark.parametrize("value", [0.0, -1.0, 1e12, 1e-12])
def test_values_out_of_range_are_counted_at_the_ends(value: float):
    bins = LogBins(0.001, 6)
    bins.add(value)
    assert [bar.count for bar in bins.bars()] == [1]
    assert bins.total == 1


@given(st.lists(st.tuples(st.floats(0, 1e9), st.booleans()), min_size=1, max_size=50))
def test_a_course_keeps_every_event_in_few_spans(events: list[tuple[float, bool]]):
    course = Timeline()
    for at, bad in events:
        course.add(at, failed=bad)
    spans = list(course.spans())
    assert len(spans) <= MOST_BUCKETS
    assert sum(span.done for span in spans) == sum(not bad for _, bad in events)
    assert sum(span.failed for span in spans) == sum(bad for _, bad in events)
    assert len(spans) * course.width >= max(at for at, _ in events) - min(at for at, _ in events)


def test_images_that_are_gone_broken_or_huge_are_left_out():
    store = _picture_store()
    store.put("broken.png", b"no picture")
    sample = [Stored(1, "gone.png", 1, 1), Stored(2, "broken.png", 1, 1), Stored(3, "a.png", 4, 3)]
    (picture,) = thumbnails(store, sample)
    assert (picture.stored.line, picture.image.size) == (3, (4, 3))


def test_the_sheet_stops_when_its_time_is_over():
    ticks = iter(range(0, 1000, 5))
    sample = [Stored(line, "a.png", 4, 3) for line in range(1, 20)]
    assert len(thumbnails(PICTURE, sample, clock=lambda: float(next(ticks)))) == 2


def results(store: LocalStore | MemoryStore, scratch: Path, **options: str) -> Summary:
    rows = (ManifestRow(line, f"https://one.example/{line}.jpg") for line in range(1, 6))
    plan = plan_run(
        rows, SETTINGS, run_id="run1", store=store, templates=TemplateFolder.shipped(), scratch=scratch
    )  # fmt: skip
    with ReceiptWriter(store, run_receipts("birds", "run1"), "upload-x") as writer:
        for record in [record for task in plan.tasks() for record in task.records][:3]:
            writer.add(replace(uploaded(record.line), key=record.key))
    summary = write_results(store, "birds", run_id="run1", seconds=2.0, **options)
    assert summary is not None
    return summary


def test_a_run_that_ended_early_has_its_page(tmp_path: Path):
    store = MemoryStore()
    results(store, tmp_path, status="canceled")
    html = bytes(store.get("_relay/birds/runs/run1/report.html").bytes()).decode()
    assert "3 of 5 images are stored, 2 were not attempted: launch the same manifest again." in html


def test_a_page_that_cannot_be_made_fails_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    in_the_way = tmp_path / "out" / "_relay" / "birds" / "runs" / "run1" / REPORT / "folder"
    in_the_way.mkdir(parents=True)
    store = LocalStore(str(tmp_path / "out"))
    assert results(store, tmp_path).uploaded == 3
    assert (in_the_way.parents[1] / "summary.json").exists()
    assert "report.html of run run1 was not made" in caplog.text
    assert not write_page(store, summary_of([]), SETTINGS, RunStatistics("run1"))


def test_numbers_are_written_as_people_read_them():
    assert [seconds(value) for value in (0, 0.0123, 0.9999, 3.4, 61, 3600, 4800)] == [
        "0 s",
        "12 ms",
        "1 s",
        "3.4 s",
        "61 s",
        "1 h",
        "1 h 20 min",
    ]
    assert [size(value) for value in (0, 999, 1500, 2_340_000, 5e13)] == ["0 B", "999 B", "1.5 kB", "2.3 MB", "50 TB"]
    assert [percent(*pair) for pair in ((0, 9), (1, 10_000), (9_999, 10_000), (1, 3), (2, 2))] == [
        "0 %",
        "< 0.1 %",
        "> 99.9 %",
        "33.3 %",
        "100 %",
    ]


def test_a_real_runs_page_opens_in_a_browser(imgrelay: Command, origin: Origin, tmp_path: Path):
    """On a phone and on a desk, light and dark: nothing is asked of anybody, nothing is said on the console."""
    urls = [origin.url(name) for name in ("jpeg/dawn.jpg", "webp/coast.webp", "bad/gone.jpg", "bad/pixel-bomb.png")]
    manifest = write_manifest(tmp_path, [*urls, "no url <script>alert(1)</script>"])
    ran = imgrelay(
        "run", "--manifest", manifest, "--tolerated-failure-percentage", "70", "--destination", tmp_path / "out"
    )
    assert ran.code == 0, ran.err
    report = run_folder(tmp_path / "out") / REPORT
    with chromium() as browser:
        for width, dark in ((390, False), (1280, True)):
            with watched(browser, width, dark=dark) as seen:
                seen.page.goto(report.as_uri())
                assert seen.said == []
                assert [url for url in seen.asked_for if not url.startswith("data:")] == [report.as_uri()]
                pictures = seen.page.locator(".sheet img")
                assert pictures.count() == 2
                assert pictures.evaluate_all("images => images.every(image => image.naturalWidth > 100)")
                assert seen.page.evaluate("document.documentElement.scrollWidth") == width
                assert seen.page.locator(".reason").count() == 3
                assert "2 of 5 images are stored, 3 failed." in seen.page.inner_text("body")
