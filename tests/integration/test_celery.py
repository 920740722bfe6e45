"""Steps on Celery workers on several hosts: the results stay the same when workers are killed, stopped or added.

Redis, Postgres and the S3 server are real. `tests/support/celery_cluster.py` describes how it simulates several hosts.
"""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from imgrelay_dagster.demo.manifests import expected
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.monitoring import housekeeping, lost_runs
from tests.support import warm_start
from tests.support.celery_checks import check_same, ensure_workers, launch_alone
from tests.support.celery_cluster import LOST_AFTER, Cluster, missing
from tests.support.clouds import SCHEMES, start_cloud
from tests.support.command import until
from tests.support.compose_deployment import PROGRAMS, compose
from tests.support.slow_origin import slow_origin

pytestmark = [pytest.mark.redis, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

TASK = 20
SLOTS = 2
ANSWER = 0.6
"""Seconds until the slow origin answers, so that there is time to kill a worker."""

STOP_LIMIT = 20.0
"""Seconds from a cancel until no step is running. The limit is 15; the rest allows for a busy machine."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("celery") / "here") as started:
        yield started


@pytest.fixture
def workers(cluster: Cluster) -> None:
    """Two workers. Workers that the last test killed are replaced."""
    ensure_workers(cluster, "first", "second", slots=SLOTS)


@pytest.fixture(scope="module")
def slow() -> Iterator[Origin]:
    with slow_origin(ANSWER) as server:
        yield server


FORM = {"urls_per_task": TASK, "max_concurrent": 2 * SLOTS, "tolerated_failure_percentage": 100}


def test_workers_give_the_same_results_as_one_machine(cluster: Cluster, workers: None, origin: Origin) -> None:
    urls = origin.many(3 * TASK) + origin.manifest()
    manifest = cluster.put("manifests/birds.txt", urls)
    short_limits = {"download": {"read_timeout": 10, "deadline": 12, "backoff": 0.1}}
    with cluster.launch({**FORM, **short_limits, "manifest": manifest}) as run:
        staged = run.watch_staging()
        ran = run.wait(180)
    assert ran.code == 0, ran.err
    with launch_alone(cluster, {**FORM, **short_limits, "manifest": manifest}) as alone:
        assert alone.wait(180).code == 0
    rows = check_same(cluster, "birds", run, alone)
    assert [row["reason"] for row in rows] == list(expected(urls).values())
    assert cluster.objects("staging/") == {}
    assert 1 <= max(staged) <= FORM["max_concurrent"], staged
    assert set(run.workers()) == {"celery@first", "celery@second"}


def test_the_health_check_of_the_worker_container(cluster: Cluster, workers: None) -> None:
    (_, shell, option, check) = compose("compose.workers.yaml")["worker"]["healthcheck"]["test"]

    def healthy(host: str) -> bool:
        environment = {**cluster.environment, "HOSTNAME": host}
        environment["PATH"] = f"{PROGRAMS}:{environment['PATH']}"
        command = [shell, option, check.replace("$$", "$")]
        return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False).returncode == 0

    assert healthy("first")
    assert not healthy("nobody")


def test_a_long_step_is_not_delivered_to_a_second_worker(cluster: Cluster, workers: None, slow: Origin) -> None:
    urls = [slow.url(f"jpeg/small-dawn.jpg?long={n}") for n in range(10)]
    with cluster.launch({**FORM, "urls": urls, "dataset": "long", "download": {"threads": 1}}) as run:
        ran = run.wait(120)
    assert ran.code == 0, ran.err
    assert run.seconds("download[lines_1_to_10]") > LOST_AFTER
    assert set(run.steps(dg.DagsterEventType.STEP_START, whole=True).values()) == {1}


def test_the_steps_of_a_killed_worker_are_executed_by_others(cluster: Cluster, workers: None, slow: Origin) -> None:
    """One worker is killed, the other is told to stop as soon as it has a step: a third one does all the rest."""
    urls = [slow.url(f"jpeg/small-dawn.jpg?killed={n}") for n in range(8 * TASK)]
    manifest = cluster.put("manifests/killed.txt", urls)
    with cluster.launch({**FORM, "manifest": manifest, "download": {"threads": 2}}) as run:
        name, killed = until(lambda: run.first_at_work("download"), 120, "a worker downloads")
        cluster.alive()[name].kill()
        (other,) = {"first", "second"} - {name}
        until(lambda: run.at_work(other), 120, "the other worker has a step")
        cluster.alive()[other].terminate()
        cluster.worker("third", SLOTS)
        ran = run.wait(240)
    assert ran.code == 0, ran.err
    assert ran.summary["uploaded"] == len(urls)
    rows = cluster.results("framed", "killed", run.id)
    assert [row["url"] for row in rows] == urls
    images = cluster.images("framed")
    assert {row["key"] for row in rows} <= images.keys()
    assert cluster.objects("staging/") == {}
    assert "celery@third" in run.workers()
    again = {
        step: count - 1 for step, count in run.steps(dg.DagsterEventType.STEP_START, whole=True).items() if count > 1
    }
    print(f"steps started again: {again}; requests: {slow.hits.total()} for {len(urls)}")
    assert set(killed) & again.keys(), "no step was killed"
    assert max(again.values()) <= 2, "more often than workers ended"
    requests = Counter({url: slow.hits[url.partition(str(slow.port))[2]] for url in urls})
    restarted = sum(count for step, count in again.items() if "download" in step)
    assert sum(requests.values()) - len(urls) <= TASK * restarted


def test_workers_take_up_adjustments(cluster: Cluster, workers: None, slow: Origin) -> None:
    urls = [slow.url(f"jpeg/small-dawn.jpg?adjusted={n}") for n in range(8 * TASK)]
    form = {**FORM, "manifest": cluster.put("manifests/adjusted.txt", urls), "download": {"threads": 1}}

    def adjust(run_id: str, *options: str) -> None:
        command = [sys.executable, "-m", "imgrelay_dagster.cli", "adjust", run_id, *options]
        assert warm_start.run(command, env=cluster.environment, timeout=60).returncode == 0

    def asked() -> int:
        return sum("adjusted=" in target for target in slow.hits)

    with cluster.launch(form) as run:
        until(asked, 120, "the first images were asked for")
        adjust(run.id, "--pause")
        time.sleep(4.0)
        paused = asked()
        assert paused < len(urls)
        time.sleep(2.0)
        assert asked() == paused
        adjust(run.id, "--resume", "--threads", "16")
        ran = run.wait(120)
    assert ran.code == 0, ran.err
    assert (ran.summary["uploaded"], ran.summary["adjusted"]) == (len(urls), "threads=16")


def test_a_canceled_run_stops_its_workers_and_the_next_one_does_the_rest(
    cluster: Cluster, workers: None, slow: Origin
) -> None:
    urls = [slow.url(f"jpeg/small-dawn.jpg?canceled={n}") for n in range(6 * TASK)]
    form = {**FORM, "manifest": cluster.put("manifests/canceled.txt", urls)}
    with cluster.launch(form) as run:
        until(lambda: run.steps(dg.DagsterEventType.STEP_SUCCESS)["upload"] >= 1, 120, "a task is done")
        canceled = time.monotonic()
        run.process.send_signal(signal.SIGINT)
        ran = run.wait(60)
        until(lambda: not cluster.busy(), STOP_LIMIT, "no worker is busy")
    print(f"all workers idle {time.monotonic() - canceled:.1f} s after the cancel")
    assert time.monotonic() - canceled < STOP_LIMIT
    assert ran.code == 130, ran.err
    summary = ran.summary
    assert summary["status"] == "canceled"
    assert summary["uploaded"] >= TASK
    assert summary["not_attempted"] > 0
    assert cluster.run_status(run.id) is dg.DagsterRunStatus.CANCELED
    assert len(cluster.results("framed", "canceled", run.id)) == len(urls)
    assert cluster.objects("staging/") == {}
    assert run.steps(dg.DagsterEventType.STEP_UP_FOR_RETRY) == {}

    before = Counter(slow.hits)
    with cluster.launch(form) as rest:
        ran = rest.wait(180)
    assert ran.code == 0, ran.err
    assert ran.summary["unchanged"] >= summary["uploaded"]
    assert ran.summary["unchanged"] + ran.summary["uploaded"] == len(urls)
    requests = Counter(slow.hits) - before
    assert requests.total() == ran.summary["uploaded"]


def test_a_run_is_lost_with_its_own_process_but_not_with_a_workers_process(
    cluster: Cluster, workers: None, slow: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [slow.url(f"jpeg/small-dawn.jpg?lost={n}") for n in range(6 * TASK)]
    instance, stores = cluster.dagster, cluster.stores
    with cluster.launch({**FORM, "manifest": cluster.put("manifests/lost.txt", urls)}) as run:
        until(lambda: run.steps(dg.DagsterEventType.STEP_SUCCESS)["upload"] >= 1, 120, "a task is done")
        for worker in cluster.alive().values():
            for process in worker.slots():
                process.kill()
        assert list(lost_runs.end_lost_runs(instance, stores)) == []
        run.process.kill()
        run.process.wait(10)
        assert list(lost_runs.end_lost_runs(instance, stores)) == [f"run {run.id} was lost and has been ended"]
        until(lambda: not cluster.busy(), STOP_LIMIT + LOST_AFTER, "no worker is busy")
    monkeypatch.setattr(housekeeping, "GRACE", 0.0)
    assert f"run {run.id} has its results" in list(housekeeping.settle_ended_runs(instance, stores))
    rows = cluster.results("framed", "lost", run.id)
    assert [row["url"] for row in rows] == urls
    assert Counter(row["outcome"] for row in rows)["uploaded"] >= TASK
    assert cluster.objects("staging/") == {}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_workers_share_scratch_space_in_other_stores(
    cluster: Cluster, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    urls = origin.many(3 * TASK)
    cluster.stop_workers()
    with start_cloud(scheme, tmp_path) as cloud:
        places = {"IMGRELAY_STAGING": cloud.address("staging"), "IMGRELAY_DESTINATION": cloud.address("framed")}
        monkeypatch.setattr(cluster, "more", {**cloud.environment, **places})
        cluster.start_workers(f"{scheme}-1", f"{scheme}-2", slots=SLOTS)
        with cluster.launch({**FORM, "urls": urls, "dataset": scheme}) as run:
            ran = run.wait(180)
        assert (ran.code, ran.summary["uploaded"]) == (0, len(urls)), ran.err
        stored = [meta["path"] for meta in cloud.open("framed").list().collect()]
        assert sum(not path.startswith("_relay/") for path in stored) == len(urls)
        assert cloud.open("staging").list().collect() == []
        assert set(run.workers()) == {f"celery@{scheme}-1", f"celery@{scheme}-2"}
        cluster.stop_workers()
