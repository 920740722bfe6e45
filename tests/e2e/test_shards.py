"""A manifest too large for one run, under the real daemon: shard runs follow by themselves and read as one."""

from collections import Counter
from itertools import pairwise

import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.monitoring.lost_runs import RETRY_LIMIT
from imgrelay_dagster.runs.status import is_settled
from tests.e2e.conftest import own_days, requests_of_tests
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.run_checks import check_results
from tests.support.ui import materialize, runs_tagged

ENTRIES = 60
FORM = {"max_entries_per_run": 35, "urls_per_task": 30}


def launched_shards(served: DagsterServers, coordinator: str) -> dict[str, dict[str, str]]:
    """The two shard runs of a coordinator, once they are asked for."""
    assert served.wait_for(coordinator) == "SUCCESS", served.why(coordinator)
    return until(
        lambda: runs if len(runs := runs_tagged(served, imgrelay__coordinator=coordinator)) == 2 else None,
        120,
        "the sensor launches two shards",
    )


def wait_for_shards(served: DagsterServers, coordinator: str) -> dict[str, dict[str, str]]:
    """The shard runs of a coordinator, once all have ended."""
    for run_id in launched_shards(served, coordinator):
        assert served.wait_for(run_id, limit=300) == "SUCCESS", served.why(run_id)
    return runs_tagged(served, imgrelay__coordinator=coordinator)


def check_joined(served: DagsterServers, coordinator: str, shards: list[str]) -> None:
    """The coordinator's results are those of its shards together, and none ran beside another."""
    whole = served.summary(coordinator)
    assert (whole["status"], whole["entries"], whole["uploaded"]) == ("success", ENTRIES, ENTRIES)
    parts = [served.summary(run_id) for run_id in shards]
    assert sum(part["entries"] for part in parts) == sum(part["uploaded"] for part in parts) == ENTRIES
    results = served.results(coordinator)
    assert [row["line"] for row in results] == list(range(1, ENTRIES + 1))
    assert Counter(row["outcome"] for row in results) == {"uploaded": ENTRIES}
    times = sorted((record.start_time, record.end_time) for record in map(served.dagster.get_run_record_by_id, shards))
    assert all(end <= following for (_, end), (following, _) in pairwise(times))
    assert served.tags(coordinator)["imgrelay/results"] == f"{ENTRIES} of {ENTRIES}"


@pytest.mark.timeout(900)
def test_a_large_manifest_is_relayed_in_shards_from_the_launchpad_and_as_a_day(served: DagsterServers, origin: Origin):
    (day,) = own_days(1)
    urls = {name: [origin.url(f"jpeg/small-dawn.jpg?{name}-{n}") for n in range(ENTRIES)] for name in ("many", day)}
    for name, lines in urls.items():
        served.write_manifest(f"{name}.txt", lines)
    origin.hits.clear()
    launched = served.launch({"manifest": "many.txt", **FORM})
    of_day = materialize(served, day, FORM)

    shards = wait_for_shards(served, launched)
    check_joined(served, launched, list(shards))
    tags = [{name.partition("/")[2]: value for name, value in run.items()} for run in shards.values()]
    assert {run["shard"] for run in tags} == {"1 of 2", "2 of 2"}
    assert {(run["dataset"], run["manifest"]) for run in tags} == {("many", str(served.manifests / "many.txt"))}

    shards = wait_for_shards(served, of_day)
    check_joined(served, of_day, list(shards))
    assert {run["dagster/partition"] for run in shards.values()} == {day}
    assert sorted(map(origin.url, requests_of_tests(origin).elements())) == sorted(urls["many"] + urls[day])

    again = served.launch({"manifest": "many.txt", **FORM})
    assert served.wait_for(again) == "SUCCESS"
    assert (served.summary(again)["unchanged"], served.summary(again)["status"]) == (ENTRIES, "success")


@pytest.mark.timeout(900)
def test_a_shard_that_is_killed_is_done_by_the_run_in_its_place(served: DagsterServers, origin: Origin):
    """Its run's process, in the midst of its images. What it had done is kept, and read as one with the rest."""
    entries = 600
    lines = [origin.url(f"jpeg/small-dawn.jpg?killed-{n}") for n in range(entries)]
    form = {"manifest": served.write_manifest("killed.txt", lines), "max_entries_per_run": 320, "urls_per_task": 15}
    coordinator = served.launch(form)
    shards = launched_shards(served, coordinator)
    (killed,) = [run_id for run_id, tags in shards.items() if tags["imgrelay/shard"] == "1 of 2"]
    until(lambda: list(served.receipts("killed")), 120, "a first image of the first shard is done")
    assert served.status(killed) == "STARTED", "it was too fast to be killed"
    served.kill(served.run_process(killed))

    assert served.wait_for(killed) == "FAILURE"
    # By Dagster, or once it was told a second time by housekeeping: it passes over some failures.
    (again,) = until(lambda: served.retries(killed), RETRY_LIMIT + 120, "the killed run is started again")
    (other,) = set(shards) - {killed}
    assert [served.wait_for(run_id, limit=300) for run_id in (again, other)] == ["SUCCESS", "SUCCESS"]
    until(lambda: is_settled(served.dagster.get_run_by_id(killed)), 60, "housekeeping has looked after it")
    lost, late = served.summary(killed), served.summary(again)
    assert (lost["status"], late["status"]) == ("failure", "success")
    assert 0 < lost["uploaded"] == late["unchanged"]
    whole = check_results(served, coordinator, entries)
    assert (whole["status"], whole["not_attempted"], whole["unchanged"]) == ("success", 0, lost["uploaded"])
    assert served.tags(coordinator)["imgrelay/results"] == f"{entries} of {entries}"
    assert len([record for record in served.receipts("killed") if record.outcome == "uploaded"]) == entries
