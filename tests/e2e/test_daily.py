"""Daily drops under the real daemon and webserver: backfills, missing days."""

from imgrelay_dagster.demo.origin import Origin
from tests.e2e.conftest import day_before
from tests.e2e.ui import backfill, runs_tagged, wait_for_backfill
from tests.instance import Served


def urls(origin: Origin, day: str, count: int) -> list[str]:
    return [origin.url(f"jpeg/small-dawn.jpg?{day}-{number}") for number in range(count)]


def test_a_backfill_runs_each_day_by_itself_names_a_missing_day_and_a_second_one_does_only_what_is_left(
    served: Served, origin: Origin
):
    first, missing, last = days = [day_before(number) for number in (23, 22, 21)]
    for day in (first, last):
        served.write_manifest(f"{day}.txt", urls(origin, day, 3))
    origin.hits.clear()
    assert wait_for_backfill(served, backfill(served, days)) == "COMPLETED_FAILED"
    by_day = {day: list(runs_tagged(served, dagster__partition=day)) for day in days}
    assert [len(found) for found in by_day.values()] == [1, 1, 1]
    assert served.failure(by_day[missing][0]).startswith(f"there is no manifest of day {missing}; looked for ")
    for day in (first, last):
        assert served.summary(by_day[day][0])["dataset"] == f"daily-{day}"
        assert served.summary(by_day[day][0])["uploaded"] == 3
    assert origin.hits.total() == 6

    served.write_manifest(f"{missing}.txt", urls(origin, missing, 2))
    assert wait_for_backfill(served, backfill(served, days)) == "COMPLETED_SUCCESS"
    latest = {day: next(iter(runs_tagged(served, dagster__partition=day))) for day in days}
    assert [served.summary(latest[day])["uploaded"] for day in days] == [0, 2, 0]
    assert [served.summary(latest[day])["unchanged"] for day in days] == [3, 0, 3]
    assert origin.hits.total() == 8
