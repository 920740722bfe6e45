"""`report.html`: correct, small, and safe for any text in the manifest and from servers."""

import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore
from PIL import Image

from imgrelay_dagster.relay.html_report.contact_sheet import MAX_SHEET_BYTES, read_thumbnails
from imgrelay_dagster.relay.html_report.render import render, write_html_report
from imgrelay_dagster.relay.html_report.statistics import RunStatistics, StoredImage
from imgrelay_dagster.relay.html_report.view_model_builder import build_view_model
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.outcomes import MEANINGS, Outcome, Reason, Record
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.layout import REPORT_FILE, run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.results.fold import write_results
from tests.support.reports import SETTINGS, failed, store_with_image, summary_of, uploaded

SECRET = "token=s3cr3t"


def render_records(records: list[Record], **more: object) -> str:
    """Render the page of these records; keyword arguments replace values of the summary."""
    statistics = RunStatistics("run1")
    for record in records:
        statistics.add(record)
    return render(build_view_model(summary_of(records, **more), SETTINGS, statistics, [], now=0.0))


class PageParser(HTMLParser):
    """Collects the page's elements with the names of their attributes, and the page's text."""

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
        raise AssertionError(f"the page has a comment: {data}")


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

(THUMBNAIL,) = read_thumbnails(store_with_image(), [StoredImage(1, "a.png", 4, 3)])


@settings(max_examples=60, deadline=None)
@given(url=HOSTILE, texts=st.fixed_dictionaries(dict.fromkeys(("key", "detail", "dataset", "template"), HOSTILE)))
def test_hostile_text_never_becomes_markup(url: str, texts: dict[str, str]) -> None:
    """Hostile text gives the same elements and attributes as harmless text, and no control characters."""

    def page(url: str, texts: dict[str, str]) -> PageParser:
        detail = texts["detail"] or "harmless"
        records = [
            uploaded(1, url, key=texts["key"] or "harmless"),
            failed(2, url, detail=detail),
            failed(3, url, reason=Reason.INVALID_ENTRY, fingerprint=None, attempts=0, detail=detail),
        ]
        statistics = RunStatistics("run1")
        for record in records:
            statistics.add(record)
        summary = summary_of(records, dataset=texts["dataset"], run_id=texts["dataset"])
        options = replace(SETTINGS, template=texts["template"], destination=f"s3://b/{texts['dataset']}")
        thumbnail = replace(THUMBNAIL, stored=StoredImage(1, texts["key"], 1, 1))
        html = render(build_view_model(summary, options, statistics, [thumbnail], now=0.0))
        assert not [char for char in html if ord(char) < 32 and char != "\n"]
        html.encode()
        return PageParser(html)

    plain = page("https://h/harmless", dict.fromkeys(texts, "harmless"))
    for hostile_url in (url, f"https://h/{url}", f"https://{url}/a"):
        assert page(hostile_url, texts).elements == plain.elements


def test_queries_and_user_info_are_not_shown():
    url = f"https://me:pa55word@one.example/b.jpg?{SECRET}"
    html = render_records([uploaded(1, url), failed(2, url, detail=f"no answer from {url}")])
    assert "one.example/b.jpg" in html
    assert "s3cr3t" not in html
    assert "pa55word" not in html


def test_page_summarizes_the_run():
    records = [
        *(uploaded(line) for line in range(1, 8)),
        failed(8),
        failed(9, reason=Reason.HTTP_STATUS, http_status=404),
    ]
    records.append(Record(10, "https://one.example/c.jpg", outcome=Outcome.NOT_ATTEMPTED))
    html = render_records(records, status="canceled")
    text = " ".join(PageParser(html).text.split())
    assert "7 of 10 images are stored, 2 failed, 1 was not attempted: launch the same manifest again." in text
    assert "404 × 1" in text
    assert MEANINGS[Reason.TIMEOUT] in text
    assert "one.example29timeout" in text
    assert 'href="results.jsonl"' in html
    assert "frame over the whole image" in text
    assert "Pillow" in text


def test_every_reason_has_a_meaning():
    assert set(MEANINGS) == set(Reason)


def test_page_of_ten_thousand_worst_case_entries_is_below_a_megabyte():
    """Every reason, ten thousand hosts, long texts that escaping makes five times longer, and images of noise."""
    store, statistics, records = MemoryStore(), RunStatistics("run1"), []
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
        statistics.add(record)
    thumbnails = read_thumbnails(store, statistics.stored_sample)
    assert thumbnails
    assert sum(len(thumbnail.uri) for thumbnail in thumbnails) <= MAX_SHEET_BYTES
    html = render(build_view_model(summary_of(records), SETTINGS, statistics, thumbnails, now=0.0))
    assert len(html.encode()) < 1_000_000


def write_run_results(store: LocalStore | MemoryStore, scratch: Path, **options: str) -> Summary:
    """Plan a run of five entries, store receipts of three of them, and write the results."""
    rows = (ManifestRow(line, f"https://one.example/{line}.jpg") for line in range(1, 6))
    plan = plan_run(
        rows, SETTINGS, run_id="run1", store=store, templates=TemplateFolder.shipped(), scratch=scratch
    )  # fmt: skip
    with ReceiptWriter(store, run_receipts_prefix("birds", "run1"), "upload-x") as writer:
        for record in [record for task in plan.tasks() for record in task.records][:3]:
            writer.add(replace(uploaded(record.line), key=record.key))
    summary = write_results(store, "birds", run_id="run1", seconds=2.0, **options)
    assert summary is not None
    return summary


def test_canceled_run_has_a_report(tmp_path: Path):
    store = MemoryStore()
    write_run_results(store, tmp_path, status="canceled")
    html = bytes(store.get("_relay/birds/runs/run1/report.html").bytes()).decode()
    assert "3 of 5 images are stored, 2 were not attempted: launch the same manifest again." in html


def test_failure_to_write_the_report_fails_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    obstacle = tmp_path / "out" / "_relay" / "birds" / "runs" / "run1" / REPORT_FILE / "folder"
    obstacle.mkdir(parents=True)
    store = LocalStore(str(tmp_path / "out"))
    assert write_run_results(store, tmp_path).uploaded == 3
    assert (obstacle.parents[1] / "summary.json").exists()
    assert "could not write report.html of run run1" in caplog.text
    assert not write_html_report(store, summary_of([]), SETTINGS, RunStatistics("run1"))


@pytest.mark.parametrize("records", [[uploaded(1)], [failed(1)], [failed(line) for line in range(1, 40)]])
def test_charts_of_one_value_are_words_and_those_of_failures_alone_are_red(records: list[Record]):
    html = render_records(records)
    if len(records) == 1:
        assert 'class="plot' not in html
        assert "all within" in html
    else:
        assert 'class="failed nonzero"' in html
        assert 'class="uploaded nonzero"' not in html


def test_thumbnails_link_to_images_and_to_originals_that_may_be_shown():
    public, signed = "https://one.example/a.jpg", f"https://one.example/b.jpg?{SECRET}"
    statistics = RunStatistics("run1")
    records = [uploaded(1, public, key="shop/a b#1.jpg"), uploaded(2, signed)]
    for record in records:
        statistics.add(record)
    thumbnails = [replace(THUMBNAIL, stored=stored) for stored in statistics.stored_sample]
    html = render(build_view_model(summary_of(records), SETTINGS, statistics, thumbnails, now=0.0))
    assert '<a href="../../../../shop/a%20b%231.jpg">after</a>' in html
    assert f'<a href="{public}">before</a>' in html
    assert '<a href="../../../../one.example/2.jpg">image</a>' in html
    assert SECRET not in html


def test_a_success_with_failures_says_so_in_its_first_line():
    page = PageParser(render_records([uploaded(line) for line in range(1, 4)] + [failed(4)], status="success"))
    first = "3 of 4 images are stored, 1 failed (25.0 %); the run counts as a success, because up to 5 % are tolerated."
    assert first in page.text
