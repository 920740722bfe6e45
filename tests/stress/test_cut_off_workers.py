"""A Celery worker that is cut off from Redis for longer than the time after which its steps go to others."""

from collections.abc import Iterator

import dagster as dg
import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.support import networks
from tests.support.celery_cluster import Cluster, missing
from tests.support.cut_off_workers import (
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

CUT = 90.0
"""Seconds without a network; a worker's steps go to others after 60."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("celery") / "here") as started:
        yield started


@pytest.fixture(scope="module")
def slow() -> Iterator[Origin]:
    with slow_origin(0.6) as server:
        yield server


def test_a_long_cut_loses_nothing(cluster: Cluster, slow: Origin) -> None:
    """The run may fail if two workers did the same step; the next launch then does the rest."""
    service = "redis"
    with workers_in_networks(cluster, slow, "first", "second") as found:
        urls = urls_of(slow, found["first"], service)
        form = {"manifest": cluster.put(f"manifests/{service}.txt", urls), "urls_per_task": TASK, "max_concurrent": 4}
        form["download"] = {"threads": 4}
        with cluster.launch(form) as run:
            cut_while_downloading(run, found["first"], "first", service, CUT)
            ran = run.wait(300)
        starts = run.steps(dg.DagsterEventType.STEP_START, whole=True)
        again = {step: count for step, count in starts.items() if count > 1}
        print(f"{service}: exit {ran.code}, steps started again: {again}, {repeated(slow, service)} requests repeated")
        if ran.code:
            print(ran.err)
            with cluster.launch(form) as run:
                assert run.wait(200).code == 0
    rows = cluster.results("framed", service, run.id)
    assert [row["url"] for row in rows] == urls
    assert {row["outcome"] for row in rows} <= {"uploaded", "unchanged"}
    assert {row["key"] for row in rows} <= cluster.images("framed").keys()
    assert repeated(slow, service) <= TASK * sum(count - 1 for count in starts.values())
