"""Steps on Celery workers with RabbitMQ, which handles priorities and lost workers itself."""

import signal
from collections.abc import Iterator

import dagster as dg
import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.support.celery_cluster import Cluster
from tests.support.command import until
from tests.support.rabbitmq import RabbitMQ, missing
from tests.support.slow_origin import slow_origin

pytestmark = [pytest.mark.rabbitmq, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

TASK, TASKS = 20, 6
FORM = {"urls_per_task": TASK, "max_concurrent": 4, "download": {"threads": 4}}
ANSWER = 0.4
"""Seconds until the origin answers, so that there is time to kill a worker."""

STOP_LIMIT = 30.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("rabbitmq")
    with RabbitMQ(folder / "broker") as broker, Cluster(folder / "celery" / "here", broker) as started:
        started.start_workers("first", "second")
        yield started


@pytest.fixture(scope="module")
def slow() -> Iterator[Origin]:
    with slow_origin(ANSWER) as server:
        yield server


def manifest(cluster: Cluster, origin: Origin, name: str) -> str:
    urls = [origin.url(f"jpeg/small-dawn.jpg?{name}={n}") for n in range(TASKS * TASK)]
    return cluster.put(f"manifests/{name}.txt", urls)


def test_a_canceled_run_stops_its_workers_and_the_next_one_does_the_rest(cluster: Cluster, slow: Origin) -> None:
    form = {**FORM, "manifest": manifest(cluster, slow, "canceled")}
    with cluster.launch(form) as run:
        until(lambda: run.steps(dg.DagsterEventType.STEP_SUCCESS)["upload"] >= 1, 120, "a task is done")
        run.process.send_signal(signal.SIGINT)
        ran = run.wait(STOP_LIMIT)
    assert ran.code == 130, ran.err
    done = ran.summary["uploaded"]
    assert done >= TASK
    assert ran.summary["not_attempted"] > 0
    before = slow.hits.total()
    with cluster.launch(form) as rest:
        staged = rest.watch_staging()
        ran = rest.wait(180)
    assert ran.code == 0, ran.err
    assert ran.summary["unchanged"] >= done
    assert ran.summary["uploaded"] == slow.hits.total() - before > 0
    assert 1 <= max(staged) <= FORM["max_concurrent"]
    assert cluster.objects("staging/") == {}


def test_the_steps_of_a_killed_worker_are_executed_by_the_other(cluster: Cluster, slow: Origin) -> None:
    with cluster.launch({**FORM, "manifest": manifest(cluster, slow, "killed")}) as run:
        killed = until(lambda: run.at_work("first", "download"), 120, "the first worker downloads")
        cluster.alive()["first"].kill()
        ran = run.wait(180)
    assert ran.code == 0, ran.err
    assert ran.summary["uploaded"] == TASKS * TASK
    starts = run.steps(dg.DagsterEventType.STEP_START, whole=True)
    assert set(killed) & {step for step, times in starts.items() if times == 2}, "no step was killed"
    assert cluster.objects("staging/") == {}
