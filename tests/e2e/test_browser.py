"""What people do with the mouse: launch from the launchpad, follow the run, backfill, look at asset and report."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.runs.tags import RESULTS_TAG
from tests.e2e.conftest import own_days
from tests.support.command import until
from tests.support.dagster_runs import OVER
from tests.support.dagster_servers import DagsterServers
from tests.support.slow_origin import slow_origin
from tests.support.ui import run_log, runs_tagged, sensor_ticks, stop_sensor, wait_for_backfill

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE = 120_000
"""Milliseconds until something shows, on a machine that is busy with other things."""

WATCHED = 600
"""Entries of the run that is watched. It takes half a minute, so that it announces its progress."""

BEHIND = 60
"""Seconds by which the page may be behind the log, on a machine that is busy with other things."""

ANNOUNCED = re.compile(rf"downloaded [\d,]+, composed [\d,]+, stored [\d,]+ of {WATCHED}\b")


def urls(origin: Origin, name: str, count: int) -> list[str]:
    return [origin.url(f"jpeg/small-dawn.jpg?{name}-{n}") for n in range(count)]


def test_the_launchpad_opens_with_a_sample_that_runs_as_it_is(served: DagsterServers, origin: Origin, page: "Page"):
    page.set_default_timeout(PATIENCE)
    served.write_manifest("sample.txt", urls(origin, "sample", 2))
    page.goto(f"{served.url}/locations/imgrelay/jobs/relay/playground")
    page.get_by_text("No errors").wait_for()
    page.get_by_text("Name under which results are kept").first.wait_for()  # fields are described
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/*")
    run_id = page.url.rpartition("/")[2]
    assert served.wait_for(run_id) == "SUCCESS"
    assert (served.summary(run_id)["dataset"], served.summary(run_id)["uploaded"]) == ("sample", 2)
    run = served.dagster.get_run_by_id(run_id)
    assert run is not None
    assert run.run_config["stop_when_failed"] == {"percentage": 50.0, "after": 500}  # as the launchpad showed it


def test_pasted_urls_are_launched_from_the_launchpad_and_followed_to_their_end(
    served: DagsterServers, origin: Origin, page: "Page"
):
    """A key with a typing error and a value out of bounds are refused in words, and mended; then URLs are pasted."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{served.url}/locations/imgrelay/jobs/relay/playground")
    page.get_by_text("No errors").wait_for()

    def write(text: str) -> None:
        page.locator(".CodeMirror").first.click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(text)

    write("manifest: clicked.txt\ntolerated_failure_percentge: 50\n")
    page.get_by_text("Received unexpected config entry").first.wait_for()
    write("manifest: clicked.txt\ntolerated_failure_percentage: 500\n")
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").click()
    page.get_by_text("tolerated_failure_percentage: 500.0 is refused: input should be less than or equal").wait_for()
    page.get_by_role("button", name="OK").click()

    lines = [*urls(origin, "clicked", 3), origin.url("missing.jpg")]
    write("tolerated_failure_percentage: 50\ndataset: clicked\nurl_lines: |\n" + "\n".join(lines))
    for _ in lines[1:]:
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Shift+Home")
    page.keyboard.press("Tab")
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/*")
    run_id = page.url.rpartition("/")[2]
    page.get_by_text("RUN_SUCCESS").wait_for()
    page.get_by_text("3 uploaded, 0 unchanged, 1 failed, 0 not attempted of 4 entries").wait_for()
    page.get_by_text("Succeeded (14)").wait_for()  # plan, a chain of three for each of four URLs, report
    assert served.status(run_id) == "SUCCESS"
    assert served.summary(run_id)["reasons"] == {"http_status": 1}


def test_the_page_of_a_running_run_keeps_up_with_its_log(served: DagsterServers, page: "Page"):
    """On Dagster's default storage, SQLite: steps and announcements are on the page while the run is under way."""
    page.set_default_timeout(PATIENCE)

    def succeeded() -> int:
        return int(page.get_by_text(re.compile(r"^Succeeded \(\d+\)$")).inner_text()[11:-1])

    def announced() -> set[str]:
        return set(ANNOUNCED.findall(page.locator("body").inner_text()))

    with slow_origin(0.25) as slow:
        served.write_manifest("watched.txt", urls(slow, "watched", WATCHED))
        run_id = served.launch({"manifest": "watched.txt", "download": {"threads": 4}})
        served.wait_for(run_id, "STARTED")
        page.goto(f"{served.url}/runs/{run_id}")
        page.get_by_placeholder("Filter").fill("stored")
        steps: set[int] = set()
        sentences: set[str] = set()
        while served.status(run_id) not in OVER:
            tag = served.tags(run_id).get(RESULTS_TAG, "")
            log = run_log(served, run_id)
            assert not ANNOUNCED.search(tag) or tag in [message for _, message in log]  # the same words in both
            done = sum(kind == "ExecutionStepSuccessEvent" for kind, _ in log)
            said = {words for _, message in log for words in ANNOUNCED.findall(message)}
            until(lambda done=done: succeeded() >= done, BEHIND, "the page shows the steps that the log has")
            until(lambda said=said: announced() >= said, BEHIND, "the page shows the announcements that the log has")
            shown = succeeded(), announced()
            if served.status(run_id) not in OVER:
                steps.add(shown[0])
                sentences |= shown[1]
            time.sleep(0.5)
    assert served.status(run_id) == "SUCCESS", served.why(run_id)
    assert len(steps - {0}) >= 3, "the page stood still"
    assert sentences
    assert RESULTS_TAG in served.tags(run_id)


def test_a_backfill_is_started_by_clicking_and_its_day_has_a_report(
    served: DagsterServers, origin: Origin, page: "Page"
):
    page.set_default_timeout(PATIENCE)
    first, last = days = own_days(2)
    for day, count in zip(days, (2, 3), strict=True):
        served.write_manifest(f"{day}.txt", urls(origin, day, count))
    page.goto(f"{served.url}/assets/relayed_images")
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input:not([type=checkbox])").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(f"[{first}...{last}]")
    page.keyboard.press("Enter")
    dialog.get_by_text("2 partitions").wait_for()
    dialog.get_by_role("button", name="Launch backfill").click()
    toast = page.get_by_text(re.compile(r"Created backfill [a-z]+"))
    toast.wait_for()
    backfill_id = toast.inner_text().split()[2]
    assert wait_for_backfill(served, backfill_id) == "COMPLETED_SUCCESS"

    page.goto(f"{served.url}/assets/relayed_images?view=partitions&partition={last}")
    page.get_by_text("uploaded", exact=True).wait_for()
    report = page.get_by_text(re.compile(r"/runs/[0-9a-f-]+/report\.html$")).first.inner_text()
    (run_id,) = runs_tagged(served, dagster__partition=last)
    assert Path(report) == served.results_folder(run_id) / "report.html"
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.goto(f"file://{report}")
    seen = page.locator("body").inner_text()
    assert f"daily-{last}" in seen
    assert run_id in seen
    assert troubles == []


def test_the_inbox_is_turned_on_by_its_switch_and_says_what_it_sees(served: DagsterServers, page: "Page"):
    page.set_default_timeout(PATIENCE)
    page.goto(f"{served.url}/locations/imgrelay/sensors/inbox")
    page.get_by_text("again when it is written again").wait_for()
    page.locator("label:has(input[type=checkbox])").first.click()
    try:
        until(lambda: sensor_ticks(served, "inbox"), 60, "the first tick")
        page.reload()
        page.get_by_role("button", name="runs requested").first.click()
        page.get_by_text("Skip reason: nothing new in").wait_for()
    finally:
        stop_sensor(served, "inbox")
