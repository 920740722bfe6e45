"""A manifest too large for one run, under the real daemon: shard runs follow by themselves and read as one."""

from collections import Counter
from itertools import pairwise

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.e2e.conftest import own_days
from tests.e2e.ui import materialize, runs_tagged
from tests.instance import Served
from tests.running import until

ENTRIES = 60
FORM = {"max_entries_per_run": 25, "urls_per_task": 30}


def wait_for_shards(served: Served, coordinator: str) -> dict[str, dict[str, str]]:
    """The shard runs of a coordinator, once all have ended."""
    assert served.wait_for(coordinator) == "SUCCESS", served.why(coordinator)
    runs = until(
        lambda: runs if len(runs := runs_tagged(served, imgrelay__coordinator=coordinator)) == 3 else None,
        120,
        "the sensor launches three shards",
    )
    for run_id in runs:
        assert served.wait_for(run_id, limit=300) == "SUCCESS", served.why(run_id)
    return runs_tagged(served, imgrelay__coordinator=coordinator)


def check_joined(served: Served, coordinator: str, shards: list[str]) -> None:
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
def test_a_large_manifest_is_relayed_in_shards_from_the_launchpad_and_as_a_day(served: Served, origin: Origin):
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
    assert {run["shard"] for run in tags} == {"1 of 3", "2 of 3", "3 of 3"}
    assert {(run["dataset"], run["manifest"]) for run in tags} == {("many", str(served.manifests / "many.txt"))}

    shards = wait_for_shards(served, of_day)
    check_joined(served, of_day, list(shards))
    assert {run["dagster/partition"] for run in shards.values()} == {day}
    assert sorted(map(origin.url, origin.hits.elements())) == sorted(urls["many"] + urls[day])

    again = served.launch({"manifest": "many.txt", **FORM})
    assert served.wait_for(again) == "SUCCESS"
    assert (served.summary(again)["unchanged"], served.summary(again)["status"]) == (ENTRIES, "success")
