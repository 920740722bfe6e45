"""A Celery worker that is told to stop (SIGTERM), as Docker and Kubernetes do it, with Redis and with RabbitMQ."""

from collections.abc import Iterator
from contextlib import ExitStack

import dagster as dg
import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.support import celery_cluster, rabbitmq
from tests.support.celery_checks import ensure_workers
from tests.support.celery_cluster import Cluster
from tests.support.celery_run import CeleryRun
from tests.support.command import until
from tests.support.rabbitmq import RabbitMQ
from tests.support.slow_origin import slow_origin

TASK, TASKS, SLOTS = 20, 4, 2
ANSWER = 0.4
"""Seconds until the origin answers: a step downloads for eight seconds, so that it can be interrupted."""

FORM = {"urls_per_task": TASK, "max_concurrent": 4, "download": {"threads": 1}}
GRACE = 600.0
"""Seconds; longer than any wait of these tests."""


def _needs(broker: str, missing: str | None) -> object:
    marks = [getattr(pytest.mark, broker), pytest.mark.skipif(missing is not None, reason=str(missing))]
    return pytest.param(broker, marks=marks)


@pytest.fixture(
    scope="module",
    params=[_needs("redis", celery_cluster.missing()), _needs("rabbitmq", rabbitmq.missing())],
)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        broker = stack.enter_context(RabbitMQ(folder / "broker")) if request.param == "rabbitmq" else None
        yield stack.enter_context(Cluster(folder / "celery" / "here", broker))


@pytest.fixture(scope="module")
def slow() -> Iterator[Origin]:
    with slow_origin(ANSWER) as server:
        yield server


def launch(cluster: Cluster, slow: Origin, name: str) -> CeleryRun:
    urls = [slow.url(f"jpeg/small-dawn.jpg?{name}={n}") for n in range(TASKS * TASK)]
    return cluster.launch({**FORM, "manifest": cluster.put(f"manifests/{name}.txt", urls)})


def test_a_worker_that_is_told_to_stop_leaves_at_once(cluster: Cluster, slow: Origin) -> None:
    ensure_workers(cluster, "first", "second", slots=SLOTS)
    with launch(cluster, slow, "told") as run:
        name, given_up = until(lambda: run.first_at_work("download"), 120, "a worker downloads")
        worker = cluster.alive()[name]
        worker.terminate()
        code = worker.process.wait(60)
        assert not run.steps(dg.DagsterEventType.STEP_SUCCESS, whole=True).keys() & set(given_up)
        ran = run.wait(240)
    assert code == 0
    assert ran.code == 0, ran.err
    assert ran.summary["uploaded"] == TASKS * TASK
    starts = run.steps(dg.DagsterEventType.STEP_START, whole=True)
    assert {starts[step] for step in given_up} == {2}, "its steps were not started again, or too often"
    assert run.steps(dg.DagsterEventType.STEP_UP_FOR_RETRY) == {}


def test_a_worker_with_a_grace_ends_its_steps_and_takes_no_other(
    cluster: Cluster, slow: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.stop_workers()
    monkeypatch.setattr(cluster, "more", {"IMGRELAY_CELERY_GRACE": f"{GRACE:g}"})
    ensure_workers(cluster, "patient", slots=SLOTS)
    with launch(cluster, slow, "grace") as run:
        ended = until(lambda: run.at_work("patient", "download"), 120, "the worker downloads")
        worker = cluster.alive()["patient"]
        worker.terminate()
        ensure_workers(cluster, "second", slots=SLOTS)
        code = worker.process.wait(120)  # long before its grace is over
        done = run.steps(dg.DagsterEventType.STEP_SUCCESS, whole=True)
        assert {done[step] for step in ended} == {1}
        taken = run.workers()["celery@patient"]
        ran = run.wait(240)
    assert code == 0
    assert ran.code == 0, ran.err
    assert ran.summary["uploaded"] == TASKS * TASK
    starts = run.steps(dg.DagsterEventType.STEP_START, whole=True)
    assert set(starts.values()) == {1}, "a step was started again"
    assert run.workers()["celery@patient"] == taken
