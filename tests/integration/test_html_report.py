"""`report.html` of a real run, opened in a real browser."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.relay.records.layout import REPORT_FILE
from tests.integration.test_cli import Command
from tests.support.browser import chromium, watched
from tests.support.command import run_folder
from tests.support.stored_files import write_manifest


@pytest.mark.browser
def test_report_of_a_real_run_opens_in_a_browser(imgrelay: Command, origin: Origin, tmp_path: Path):
    """At phone and desktop width, light and dark: the page makes no request and writes nothing to the console."""
    urls = [origin.url(name) for name in ("jpeg/dawn.jpg", "webp/coast.webp", "bad/gone.jpg", "bad/pixel-bomb.png")]
    manifest = write_manifest(tmp_path, [*urls, "no url <script>alert(1)</script>"])
    ran = imgrelay(
        "run", "--manifest", manifest, "--tolerated-failure-percentage", "70", "--destination", tmp_path / "out"
    )
    assert ran.code == 0, ran.err
    report = run_folder(tmp_path / "out") / REPORT_FILE
    with chromium() as browser:
        for width, dark in ((390, False), (1280, True)):
            with watched(browser, width, dark=dark) as seen:
                seen.page.goto(report.as_uri())
                assert seen.said == []
                assert [url for url in seen.asked_for if not url.startswith("data:")] == [report.as_uri()]
                images = seen.page.locator(".sheet img")
                assert images.count() == 2
                assert images.evaluate_all("images => images.every(image => image.naturalWidth > 100)")
                assert seen.page.evaluate("document.documentElement.scrollWidth") == width
                assert seen.page.locator(".reason").count() == 3
                first_line = "2 of 5 images are stored, 3 failed (60.0 %); the run counts as a success"
                assert first_line in seen.page.inner_text("body")
        shown = browser.new_page()
        shown.goto(report.as_uri())
        before = shown.locator(".sheet figcaption a", has_text="before").first.get_attribute("href")
        shown.locator(".sheet figure > a").first.click()  # leads to the stored image
        assert before == urls[0]
        image = Path(unquote(urlsplit(shown.url).path))
        assert image.is_relative_to(tmp_path / "out")
        assert shown.locator("img").evaluate("image => image.naturalWidth > 100")
        shown.close()
