"""Helpers for the tests of Celery workers: start workers, and compare a run with the same run without them."""

from typing import Any

from tests.support.celery_cluster import BUCKET, Cluster
from tests.support.celery_run import CeleryRun

SAME = ("line", "url", "key", "outcome", "reason", "bytes_out", "width", "height", "sha256", "fingerprint")


def ensure_workers(cluster: Cluster, *names: str, slots: int) -> None:
    """Start those of these workers that are not alive."""
    cluster.start_workers(*(name for name in names if name not in cluster.alive()), slots=slots)


def launch_alone(cluster: Cluster, form: dict[str, Any]) -> CeleryRun:
    """Start `imgrelay run` with this run config without the workers, into a prefix of its own."""
    here = {"IMGRELAY_EXECUTOR": "", "IMGRELAY_STAGING": "", "IMGRELAY_DESTINATION": f"s3://{BUCKET}/alone"}
    return cluster.launch(form, **here)


def check_same(cluster: Cluster, dataset: str, run: CeleryRun, alone: CeleryRun) -> list[dict[str, Any]]:
    """Check that both runs have the same results and images; return the results of the first."""
    rows = cluster.results("framed", dataset, run.id)
    assert [_lasting(row) for row in rows] == [_lasting(row) for row in cluster.results("alone", dataset, alone.id)]
    assert cluster.images("framed") == cluster.images("alone")
    return rows


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in SAME}
