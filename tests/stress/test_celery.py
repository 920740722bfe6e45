"""Celery workers that are killed, stopped and added while 5,000 URLs with all kinds of faults are relayed."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.execution.celery.settings import MAX_STARTS
from imgrelay_dagster.runs.tags import RESULTS_TAG, SETTLED_TAG
from tests.stress.test_hostile_web import FORM
from tests.stress.web import Addresses, Entry, with_faults
from tests.support.celery_checks import check_same, ensure_workers, launch_alone
from tests.support.celery_cluster import BUCKET, Cluster, missing
from tests.support.celery_run import CeleryRun
from tests.support.command import until
from tests.support.compose_deployment import ComposeDeployment
from tests.support.s3_proxy import Fault, FaultyS3, Request

pytestmark = [pytest.mark.redis, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

ENTRIES = 5_000
FAULT_PERCENTAGE = 5.0
TASK = 100
SLOTS = 2
AT_ONCE = 6
STOP_LIMIT = 15.0
"""Seconds from a click on Terminate until no worker is at work."""

QUIET = 5.0
"""Seconds in which no worker has a step: then none will."""

CUT = {"urls_per_task": TASK, "max_concurrent": AT_ONCE}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("celery") / "here") as started:
        yield started


@pytest.fixture
def workers(cluster: Cluster) -> None:
    ensure_workers(cluster, "first", "second", slots=SLOTS)


@pytest.fixture(scope="module")
def deployed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeDeployment]:
    """Code location, webserver and daemon as deploy/ starts them, with the steps on the workers."""
    elsewhere = {name: value for name, value in cluster.addresses.items() if name.startswith("IMGRELAY_CELERY")}
    folder = tmp_path_factory.mktemp("deployed")
    with ComposeDeployment(
        folder,
        cluster.postgres,
        cluster.store,
        BUCKET,
        **elsewhere,
        IMGRELAY_EXECUTOR="celery",
        IMGRELAY_STAGING=cluster.addresses["IMGRELAY_STAGING"],
        IMGRELAY_WATCH_INTERVAL="5",
    ) as served:
        yield served


def _is_composed(request: Request) -> bool:
    return request.method == "PUT" and request.key.startswith("framed/") and "/_relay/" not in request.key


def test_a_cancel_with_a_slow_store_waits_for_the_steps(cluster: Cluster, origin: Origin) -> None:
    """The store takes two seconds for each image. Results come after the steps, and name all that is stored."""
    slow = Fault(delay=2)
    with FaultyS3(cluster.store) as store:
        store.fault_for = lambda request: slow if _is_composed(request) else None
        cluster.stop_workers()
        cluster.more = {"AWS_ENDPOINT_URL_S3": store.endpoint}
        try:
            cluster.start_workers("slow-1", "slow-2", slots=SLOTS)
            urls = [f"{origin.url('jpeg/small-dawn.jpg')}?slow={n}" for n in range(240)]
            form = {"manifest": cluster.put("manifests/slow.txt", urls), "urls_per_task": 20, "max_concurrent": 4}
            with cluster.launch(form) as run:
                until(lambda: store.struck[slow] > SLOTS, 120, "images are being uploaded")
                run.process.send_signal(signal.SIGINT)
                ran = run.wait(90)
        finally:
            cluster.stop_workers()
            cluster.more = {}
    assert ran.code == 130, ran.err
    assert run.steps(dg.DagsterEventType.STEP_UP_FOR_RETRY) == {}
    assert run.steps_after_the_end() == []
    rows = cluster.results("framed", "slow", run.id)
    assert len(rows) == len(urls)
    stored = cluster.images("framed")
    assert [row["key"] for row in rows if row["key"] in stored and row["outcome"] != "uploaded"] == []
    assert cluster.objects("staging/") == {}


def test_workers_that_are_killed_stopped_and_added_change_nothing(
    cluster: Cluster, workers: None, addresses: Addresses
) -> None:
    entries = with_faults(addresses, ENTRIES, FAULT_PERCENTAGE)
    form = {**FORM, **CUT, "manifest": cluster.put("manifests/web.txt", [entry.url for entry in entries])}
    with launch_alone(cluster, {**form, "max_concurrent": 2}) as alone:
        assert alone.wait(600).code == 0

    with cluster.launch(form) as run:
        _hurt(cluster, run)
        staged = run.watch_staging()
        ran = run.wait(900)
    assert ran.code == 0, ran.err
    _check(check_same(cluster, "web", run, alone), entries)
    assert cluster.objects("staging/") == {}
    begun = run.steps(dg.DagsterEventType.STEP_START, whole=True)
    again = {step: count for step, count in begun.items() if count > 1}
    print(f"begun again: {again}; at most {max(staged)} tasks in staging; steps by worker: {dict(run.workers())}")
    assert again
    assert max(staged) <= AT_ONCE + 1
    assert {"celery@third", "celery@fourth"} <= set(run.workers())

    with cluster.launch(form) as rest:
        ran = rest.wait(300)
    passing = {"timeout", "connect_error", "dns_error", "truncated"}
    assert ran.summary["uploaded"] == 0
    assert ran.summary["unchanged"] == sum(entry.reason is None for entry in entries)
    tried = [row for row in cluster.results("framed", "web", rest.id) if row["attempts"]]
    assert {row["reason"] for row in tried} & passing
    assert all(row["outcome"] == "failed" for row in tried)


def _hurt(cluster: Cluster, run: CeleryRun) -> None:
    """Kill a worker, add one, kill a step's process, tell a worker to drop everything, add another."""
    until(lambda: run.steps(dg.DagsterEventType.STEP_SUCCESS)["upload"] >= 2, 300, "two tasks are done")
    until(lambda: run.at_work("first", "download"), 60, "the first worker downloads")
    cluster.alive()["first"].kill()
    cluster.worker("third", SLOTS)
    until(lambda: run.at_work("third", "download"), 120, "the third worker downloads")
    cluster.alive()["third"].slots()[0].kill()
    until(lambda: run.at_work("second", "download"), 120, "the second worker downloads")
    cluster.alive()["second"].slots()[0].parent().send_signal(signal.SIGQUIT)  # type: ignore[union-attr]
    cluster.worker("fourth", SLOTS)


def test_a_run_terminated_from_the_ui_stops_in_seconds_and_gets_its_results(
    cluster: Cluster, workers: None, deployed: ComposeDeployment, addresses: Addresses
) -> None:
    run_id = _launched(cluster, deployed, addresses, "terminated")
    until(cluster.busy, 30, "workers are at work")
    assert deployed.terminate(run_id)
    quiet = _quiet_after(cluster)
    print(f"no worker at work {quiet:.1f} s after the click")
    assert quiet < STOP_LIMIT
    assert deployed.wait_for(run_id) == "CANCELED"
    until(lambda: _settled(deployed, run_id), 120, "housekeeping gives the run its results")
    rows = cluster.results("framed", "terminated", run_id)
    outcomes = Counter(row["outcome"] for row in rows)
    assert len(rows) == 2_000
    assert outcomes["uploaded"] >= TASK
    assert outcomes["not_attempted"] > 0
    until(lambda: cluster.objects("staging/") == {}, 120, "scratch space is cleared")


def test_a_run_whose_process_is_killed_is_taken_up_by_the_next(
    cluster: Cluster, workers: None, deployed: ComposeDeployment, addresses: Addresses
) -> None:
    run_id = _launched(cluster, deployed, addresses, "orphaned")
    os.kill(deployed.run_process(run_id), signal.SIGKILL)
    assert deployed.wait_for(run_id, limit=120) == "FAILURE"
    (again,) = until(lambda: deployed.retries(run_id), 180, "the run is started again")
    assert deployed.wait_for(again, limit=400) == "SUCCESS", deployed.why(again)
    assert deployed.tags(again)[RESULTS_TAG] == "2000 of 2000"
    until(lambda: cluster.objects("staging/") == {}, 120, "scratch space is cleared")


def test_a_step_that_kills_its_worker_each_time_fails_the_run_and_says_so(
    cluster: Cluster, addresses: Addresses
) -> None:
    for name, worker in cluster.alive().items():
        if name != "victim":
            worker.kill()
    victim = cluster.worker("victim", 1)
    urls = [f"{addresses.good(number).url}&poison" for number in range(400)]
    form = {**CUT, "dataset": "poison", "manifest": cluster.put("manifests/poison.txt", urls), "urls_per_task": 400}
    with cluster.launch({**form, "download": {"threads": 1}}) as run:
        key = "download[lines_1_to_400]"

        def begun() -> int:
            return run.steps(dg.DagsterEventType.STEP_START, whole=True)[key]

        for times in range(1, MAX_STARTS + 1):
            until(
                lambda n=times: run.steps(dg.DagsterEventType.STEP_START, whole=True)[key] >= n, 120, f"start {times}"
            )
            victim.slots()[0].kill()
        ran = run.wait(120)
    assert ran.code == 1
    assert f"step {key} was started {MAX_STARTS} times and its worker died each time" in ran.err, ran.err
    assert "urls_per_task" in ran.err


def _launched(cluster: Cluster, deployed: ComposeDeployment, addresses: Addresses, name: str) -> str:
    """A run of 2,000 entries from the UI, once a task of it is done."""
    urls = [f"{addresses.good(number).url}&{name}" for number in range(2_000)]
    run_id = deployed.launch(
        {**CUT, "manifest": cluster.put(f"manifests/{name}.txt", urls), "download": {"threads": 2}}
    )
    until(lambda: deployed.steps(run_id, dg.DagsterEventType.STEP_SUCCESS)["upload"] >= 1, 180, "a task is done")
    return run_id


def _settled(deployed: ComposeDeployment, run_id: str) -> bool:
    run = deployed.dagster.get_run_by_id(run_id)
    assert run is not None
    return run.tags.get(SETTLED_TAG) == run_id


def _quiet_after(cluster: Cluster) -> float:
    """Seconds from now until workers hold no step any more, and take none."""
    now = last = time.monotonic()
    while time.monotonic() - last < QUIET:
        if cluster.busy():
            last = time.monotonic()
        assert last - now < 60, "workers are still at work"
        time.sleep(0.1)
    return last - now


def _check(rows: list[dict[str, Any]], entries: list[Entry]) -> None:
    wrong = [
        (row["url"], row["outcome"], row["reason"], row["detail"])
        for row, entry in zip(rows, entries, strict=True)
        if row["reason"] != entry.reason or row["url"] != entry.url
    ]
    assert not wrong, "\n".join(map(str, wrong))
