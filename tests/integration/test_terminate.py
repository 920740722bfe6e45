"""Runs terminated from the UI, with the real daemon, webserver and code server."""

from collections import Counter
from collections.abc import Iterator

import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.monitoring import housekeeping
from tests.support.dagster_runs import OVER
from tests.support.dagster_servers import DagsterServers, connections
from tests.support.run_checks import (
    IN_FLIGHT,
    check_ended_early,
    check_receipts,
    check_results,
    done_urls,
    lock_is_free,
)

ENTRIES = 600

GONE_LIMIT = 20.0
"""Seconds from the click until the last process is gone. The limit is 10; the rest allows for a busy machine."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServers]:
    """Servers and runs with the processes that users have: all are started as usual."""
    with DagsterServers(tmp_path_factory.mktemp("terminate"), warm=False) as instance:
        yield instance


def test_terminated_runs_end_within_seconds_and_the_next_run_completes_the_work(
    served: DagsterServers, origin: Origin, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(housekeeping, "GRACE", 0.0)  # the processes of each run have ended before this test settles it
    monkeypatch.setenv("IMGRELAY_DESTINATION", str(served.out))  # the same environment as the sensor
    urls = [origin.url(f"jpeg/small-dawn.jpg?terminated={n}") for n in range(ENTRIES)]
    form = {"manifest": served.write_manifest("birds.txt", urls), "urls_per_task": 50}
    for number, op in enumerate(("plan", "download", "upload")):
        run_id = served.launch(form)
        served.wait_for_steps(run_id, op)
        times = served.terminate_to_the_end(run_id)
        assert times is not None, f"the run ended before it could be terminated in {op}"
        assert times[1] < GONE_LIMIT
        assert connections(origin.port) == 0
        list(housekeeping.settle_ended_runs(served.dagster, served.stores))
        if number:
            summary = check_ended_early(served, run_id, ENTRIES)
            assert summary["not_attempted"] > 0
        assert not (served.home / "staging" / run_id).exists()
        assert lock_is_free(served, "birds")
        assert check_receipts(served) <= IN_FLIGHT * number

    before, hits = done_urls(served, "birds"), Counter(origin.hits)
    run_id = served.launch(form)
    assert served.wait_for(run_id, *OVER) == "SUCCESS"
    summary = check_results(served, run_id, ENTRIES)
    assert (summary["unchanged"], summary["uploaded"]) == (len(before), ENTRIES - len(before))
    shown = {name for name in served.tags(run_id) if "imgrelay" in name}
    assert shown == {"imgrelay/dataset", "imgrelay/manifest", "imgrelay/destination", "imgrelay/results"}
    asked = {origin.url(target) for target in Counter(origin.hits) - hits}
    assert asked <= set(urls) - before
    kept = set(urls) - before - asked  # downloaded by a run that was terminated
    assert kept <= {origin.url(target) for target in hits}
    assert check_receipts(served) == 0
