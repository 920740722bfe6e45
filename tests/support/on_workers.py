"""What the tests of Celery workers share: workers for every test, and the same run on one machine to compare with."""

from typing import Any

from tests.support.cluster import BUCKET, Cluster
from tests.support.launched import Launched

SAME = ("line", "url", "key", "outcome", "reason", "bytes_out", "width", "height", "sha256", "fingerprint")


def see_that_there_are(cluster: Cluster, *names: str, slots: int) -> None:
    """Start those of these workers that the last test hurt, or that never were."""
    cluster.start_workers(*(name for name in names if name not in cluster.alive()), slots=slots)


def launch_alone(cluster: Cluster, form: dict[str, Any]) -> Launched:
    """Start `imgrelay run` with this run config without the workers, into a prefix of its own."""
    here = {"IMGRELAY_EXECUTOR": "", "IMGRELAY_STAGING": "", "IMGRELAY_DESTINATION": f"s3://{BUCKET}/alone"}
    return cluster.launch(form, **here)


def check_same(cluster: Cluster, dataset: str, run: Launched, alone: Launched) -> list[dict[str, Any]]:
    """A run on workers came to the results and the images of one on one machine; returns its results."""
    rows = cluster.results("framed", dataset, run.id)
    assert [_lasting(row) for row in rows] == [_lasting(row) for row in cluster.results("alone", dataset, alone.id)]
    assert cluster.images("framed") == cluster.images("alone")
    return rows


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in SAME}
