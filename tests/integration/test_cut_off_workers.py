"""Celery workers with networks of their own: a short cut of one network loses nothing and repeats nothing."""

from collections.abc import Iterator

import dagster as dg
import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.support import networks
from tests.support.celery_cluster import Cluster, missing
from tests.support.cut_off_workers import (
    SERVICES,
    TASK,
    cut_while_downloading,
    repeated,
    urls_of,
    workers_in_networks,
)
from tests.support.slow_origin import slow_origin

pytestmark = [
    pytest.mark.redis,
    pytest.mark.root,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.skipif(networks.missing() is not None, reason=str(networks.missing())),
]

THREADS = 4

CUT = 5.0
"""Seconds without a network."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("celery") / "here") as started:
        yield started


@pytest.fixture(scope="module")
def slow() -> Iterator[Origin]:
    with slow_origin(0.6) as server:
        yield server


def test_a_worker_that_is_cut_off_for_seconds_loses_and_repeats_nothing(cluster: Cluster, slow: Origin) -> None:
    """Cut one worker of two off from Redis, then from Postgres, then from the store."""
    with workers_in_networks(cluster, slow, "first", "second") as found:
        urls = urls_of(slow, found["first"], "short")
        form = {"manifest": cluster.put("manifests/short.txt", urls), "urls_per_task": TASK, "max_concurrent": 4}
        with cluster.launch({**form, "download": {"threads": THREADS}}) as run:
            for service in SERVICES:
                cut_while_downloading(run, found["first"], "first", service, CUT)
            ran = run.wait(200)
        assert ran.code == 0, ran.err
        rows = cluster.results("framed", "short", run.id)
        assert [(row["url"], row["detail"]) for row in rows if row["outcome"] != "uploaded"] == []
        assert [row["url"] for row in rows] == urls
        assert {row["key"] for row in rows} <= cluster.images("framed").keys()
        assert cluster.objects("staging/") == {}
        again = {
            step: count for step, count in run.steps(dg.DagsterEventType.STEP_START, whole=True).items() if count > 1
        }
        extra, attempts = repeated(slow, "short"), sum(row["attempts"] - 1 for row in rows)
        print(f"steps started again: {again}; requests repeated: {extra}, told as attempts: {attempts}")
        # A request over a kept connection that the origin has just closed is repeated, and not counted: one a thread.
        assert extra <= TASK * sum(step.startswith("download") for step in again) + attempts + THREADS
