"""Runs as deploy/kubernetes sets them up, by Dagster's own launcher and executor; the cluster is a stand-in."""

from collections.abc import Iterator

import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from tests.support.command import until
from tests.support.kubernetes_deployment import KubernetesDeployment
from tests.support.postgres import Postgres
from tests.support.slow_origin import slow_origin
from tests.unit.execution.test_kubernetes import check_locked_down

BUCKET = "kubernetes"
pytestmark = [pytest.mark.kubernetes, pytest.mark.postgres]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, seaweed: SeaweedFS) -> Iterator[KubernetesDeployment]:
    seaweed.create_bucket(BUCKET)
    folder = tmp_path_factory.mktemp("kubernetes")
    with Postgres() as postgres, KubernetesDeployment(folder, postgres, seaweed, BUCKET) as served:
        yield served


def launch(served: KubernetesDeployment, seaweed: SeaweedFS, origin: Origin, dataset: str, entries: int) -> str:
    """A run of so many entries in tasks of 20."""
    urls = [origin.url(f"jpeg/small-dawn.jpg?{dataset}={n}") for n in range(entries)]
    seaweed.client().put_object(Bucket=BUCKET, Key=f"lists/{dataset}.txt", Body="\n".join(urls).encode())
    return served.launch({"manifest": f"s3://{BUCKET}/lists/{dataset}.txt", "urls_per_task": 20})


def keys(seaweed: SeaweedFS, prefix: str) -> list[str]:
    pages = seaweed.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def test_a_run_has_a_job_and_so_has_each_of_its_steps(served: KubernetesDeployment, seaweed: SeaweedFS, origin: Origin):
    run_id = launch(served, seaweed, origin, "finches", 30)
    assert served.wait_for(run_id) == "SUCCESS", served.why(run_id)
    assert served.tags(run_id)["imgrelay/results"] == "30 of 30"
    assert len([key for key in keys(seaweed, "framed/") if "/_relay/" not in key]) == 30
    assert not keys(seaweed, "scratch/")

    jobs = served.jobs(run_id)
    ops = sorted(step.partition("[")[0] for step in jobs)
    assert ops == ["", "compose", "compose", "download", "download", "plan", "report", "upload", "upload"]
    assert all(len(each) == 1 for each in jobs.values())
    for pod in served.pods_of(run_id):
        check_locked_down(pod)
        assert pod["automountServiceAccountToken"] is True
        assert pod["serviceAccountName"] == "imgrelay-dagster-user-deployments-user-deployments"
    assert not served.cluster.refused


def test_a_step_whose_pod_is_lost_is_tried_again(served: KubernetesDeployment, seaweed: SeaweedFS):
    """Each download takes three seconds, so that the step is at work when its pod is lost."""
    with slow_origin(3.0) as origin:
        run_id = launch(served, seaweed, origin, "larks", 40)
        lost = until(
            lambda: next((job for step, (job, *_) in served.jobs(run_id).items() if step.startswith("download")), None),
            120,
            "a download has a job",
        )
        until(lambda: lost.process is not None, 20, "its pod is started")
        served.cluster.kill(lost)
        assert served.wait_for(run_id) == "SUCCESS", served.why(run_id)
    assert served.tags(run_id)["imgrelay/results"] == "40 of 40"
    assert [job.name.removeprefix(lost.name) for job in served.jobs(run_id)[lost.step]] == ["", "-1"]


def test_a_run_whose_pod_is_lost_is_started_again(served: KubernetesDeployment, seaweed: SeaweedFS, origin: Origin):
    run_id = launch(served, seaweed, origin, "robins", 60)
    until(lambda: keys(seaweed, "framed/_relay/robins/receipts/"), 180, "the first receipts are put")
    (lost,) = served.jobs(run_id)[""]
    served.cluster.kill(lost)
    (again,) = until(lambda: served.retries(run_id), 120, "the run is started again")
    assert served.status(run_id) == "FAILURE"
    assert served.wait_for(again) == "SUCCESS", served.why(again)
    assert served.tags(again)["imgrelay/results"] == "60 of 60"


def test_a_canceled_run_leaves_no_pod(served: KubernetesDeployment, seaweed: SeaweedFS, origin: Origin):
    run_id = launch(served, seaweed, origin, "wrens", 40)
    until(lambda: any(step.startswith("download") for step in served.jobs(run_id)), 120, "a download has a job")
    assert served.terminate_to_the_end(run_id) is not None, "\n".join([served.status(run_id), *served.messages(run_id)])
    until(lambda: not served.at_work(run_id), 30, "no pod is left")
