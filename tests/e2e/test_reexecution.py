"""Re-executing a run by every entry of its menu: it does what is left, whichever steps were selected."""

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.execution.whole_run import MESSAGE
from imgrelay_dagster.runs.status import was_planned
from tests.e2e.conftest import own_days
from tests.support.dagster_servers import DagsterServers
from tests.support.ui import materialize, reexecute, reexecute_steps

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(900)

PATIENCE = 120_000
"""Milliseconds until something shows, on a machine that is busy with other things."""

DOWNLOAD = {"attempts": 2, "backoff": 0}
"""So many attempts that the URLs `busy` fail in the first run and succeed in the second one."""


def urls(origin: Origin, name: str) -> list[str]:
    """Two images, and two that fail in the first run."""
    good = [origin.url(f"jpeg/small-dawn.jpg?{name}-{number}") for number in range(2)]
    return good + [origin.url(f"odd/busy-twice.jpg?{name}-{number}") for number in range(2)]


def failed_run(served: DagsterServers, origin: Origin, name: str) -> str:
    """A run of job `relay` in which half of the images fail."""
    manifest = served.write_manifest(f"{name}.txt", urls(origin, name))
    run_id = served.launch({"manifest": manifest, "download": DOWNLOAD, "urls_per_task": 2})
    assert served.wait_for(run_id) == "FAILURE"
    assert served.summary(run_id)["failed"] == 2
    return run_id


def assert_does_what_is_left(served: DagsterServers, run_id: str, uploaded: int, unchanged: int) -> None:
    assert served.wait_for(run_id) == "SUCCESS", served.why(run_id)
    summary = served.summary(run_id)
    assert (summary["uploaded"], summary["unchanged"], summary["failed"]) == (uploaded, unchanged, 0)
    assert was_planned(served.dagster, run_id)


def test_from_failure_does_what_is_left_and_says_so_in_its_log(served: DagsterServers, origin: Origin):
    first = failed_run(served, origin, "reexecuted")
    before = origin.hits.copy()
    again = reexecute(served, first, "FROM_FAILURE")
    assert_does_what_is_left(served, again, uploaded=2, unchanged=2)
    assert MESSAGE in served.messages(again)
    assert {target.partition("?")[0] for target in origin.hits - before} == {"/odd/busy-twice.jpg"}
    run = served.dagster.get_run_by_id(again)
    assert run is not None
    assert (run.step_keys_to_execute, run.parent_run_id) == (None, first)  # recorded as the whole run that it was
    assert served.tags(again)["dagster/is_resume_retry"] == "true"


def test_from_selected_does_what_is_left_whichever_steps_are_selected(served: DagsterServers, origin: Origin):
    first = failed_run(served, origin, "selected")
    again = reexecute_steps(served, first, ["upload[lines_3_to_4]", "report"])
    assert_does_what_is_left(served, again, uploaded=2, unchanged=2)
    once_more = reexecute_steps(served, again, ["plan"])
    assert_does_what_is_left(served, once_more, uploaded=0, unchanged=4)


@pytest.mark.parametrize("how", ["canceled", "killed"])
def test_from_failure_of_a_run_that_was_interrupted_does_what_is_left(served: DagsterServers, origin: Origin, how: str):
    lines = [origin.url(f"odd/slow.jpg?{how}-{number}") for number in range(8)]
    manifest = served.write_manifest(f"interrupted-{how}.txt", lines)
    first = served.launch({"manifest": manifest, "urls_per_task": 2, "download": {"threads": 1}})
    served.wait_for_steps(first, "upload")
    if how == "canceled":
        served.terminate_to_the_end(first)
    else:
        served.dagster.add_run_tags(first, {"dagster/max_retries": "0"})
        os.kill(served.run_process(first), signal.SIGKILL)
        assert served.wait_for(first) == "FAILURE"
    again = reexecute(served, first, "FROM_FAILURE")
    assert served.wait_for(again) == "SUCCESS", served.why(again)
    summary = served.summary(again)
    assert summary["uploaded"] + summary["unchanged"] == summary["entries"] == 8


def test_a_day_is_re_executed_from_failure_and_from_asset_failure(served: DagsterServers, origin: Origin):
    for strategy, day in zip(("FROM_FAILURE", "FROM_ASSET_FAILURE"), own_days(2), strict=True):
        path = served.manifests / served.write_manifest(f"{day}.txt", urls(origin, day))
        os.utime(path, (time.time() - 60,) * 2)
        first = materialize(served, day, {"download": DOWNLOAD})
        assert served.wait_for(first) == "FAILURE"
        again = reexecute(served, first, strategy)
        assert_does_what_is_left(served, again, uploaded=2, unchanged=2)
        assert served.tags(again)["dagster/partition"] == day


def test_the_menu_of_a_failed_run_re_executes_it_from_failure(served: DagsterServers, origin: Origin, page: "Page"):
    page.set_default_timeout(PATIENCE)
    first = failed_run(served, origin, "clicked-again")
    page.goto(f"{served.url}/runs/{first}")
    page.get_by_role("button", name="Re-execute all").locator("xpath=following::button[1]").click()
    page.get_by_text("From failure", exact=True).click()
    page.wait_for_url(lambda url: "/runs/" in url and first not in url)
    again = page.url.rpartition("/")[2].partition("?")[0]
    assert_does_what_is_left(served, again, uploaded=2, unchanged=2)
    page.reload()
    page.get_by_text("RUN_SUCCESS").wait_for()
    page.get_by_text("Succeeded (5)").wait_for()  # all steps: plan, one chain of three for what was left, report


def test_the_menu_of_a_failed_day_re_executes_it_from_asset_failure(
    served: DagsterServers, origin: Origin, page: "Page"
):
    page.set_default_timeout(PATIENCE)
    (day,) = own_days(1)
    path = served.manifests / served.write_manifest(f"{day}.txt", urls(origin, day))
    os.utime(path, (time.time() - 60,) * 2)
    first = materialize(served, day, {"download": DOWNLOAD})
    assert served.wait_for(first) == "FAILURE"
    page.goto(f"{served.url}/runs/{first}")
    page.get_by_role("button", name="Re-execute all").locator("xpath=following::button[1]").click()
    page.get_by_text("From asset failure", exact=True).click()
    page.wait_for_url(lambda url: "/runs/" in url and first not in url)
    again = page.url.rpartition("/")[2].partition("?")[0]
    assert_does_what_is_left(served, again, uploaded=2, unchanged=2)
    assert served.tags(again)["dagster/partition"] == day


def test_the_menu_of_a_failed_run_re_executes_it_from_a_step_that_was_clicked(
    served: DagsterServers, origin: Origin, page: "Page"
):
    page.set_default_timeout(PATIENCE)
    first = failed_run(served, origin, "clicked-step")
    page.goto(f"{served.url}/runs/{first}")
    succeeded = page.get_by_text("Succeeded (7)")  # of the list of steps beside the chart
    succeeded.click()
    succeeded.locator("xpath=following::*[text()='upload[lines_3_to_4]'][1]").click()
    page.wait_for_url("**selection=**")
    page.get_by_role("button", name="Re-execute").first.locator("xpath=following::button[1]").click()
    page.get_by_text("From selected", exact=True).click()
    page.wait_for_url(lambda url: "/runs/" in url and first not in url)
    again = page.url.rpartition("/")[2].partition("?")[0]
    assert_does_what_is_left(served, again, uploaded=2, unchanged=2)
    assert MESSAGE in served.messages(again)
    selected = set(served.tags(again)["dagster/step_selection"].split(","))
    assert selected == {"upload[lines_3_to_4]*"}
