"""Measures the resources that a cluster uses: CPU of its processes, requests to the store, database, memory."""

import resource
from collections import Counter
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from benchmarks.capacity.costs import DELETES, GETS, PUTS
from imgrelay_dagster.relay.keys import RESERVED_ROOT
from tests.support.celery_cluster import Cluster
from tests.support.s3_proxy import FaultyS3, Request


@dataclass(frozen=True)
class Measured:
    """One measured run: `spent` by name, each op's share of the steps' time, summary, and memory of a worker."""

    entries: int
    steps: int
    spent: Counter[str]
    shares: dict[str, float]
    summary: dict[str, Any]
    memory: float

    def cpu(self, ops: Iterable[str]) -> float:
        """Return the CPU seconds of the workers for these ops."""
        return self.spent["cpu"] * sum(self.shares[op] for op in ops)


@dataclass
class Meter:
    """Counts what a cluster uses: a proxy counts the S3 requests; processes and servers report CPU and sizes."""

    cluster: Cluster
    requests: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> "Meter":
        self._proxy = FaultyS3(self.cluster.store, self._count).__enter__()
        self.cluster.more["AWS_ENDPOINT_URL_S3"] = self._proxy.environment()["AWS_ENDPOINT_URL_S3"]
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.__exit__(None, None, None)

    def _count(self, request: Request) -> None:
        self.requests[_price_class(request)] += 1
        if stage := _waiting_stage(request):
            self.requests[f"waits {stage}"] += 1

    def spent(self) -> Counter[str]:
        """Return everything that was used so far, by name."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        broker = self.cluster.broker_client.info("cpu")
        with closing(self.cluster.postgres.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("select pg_database_size(current_database())")
            ((size,),) = cursor.fetchall()
        workers = [process for worker in self.cluster.alive().values() for process in worker.processes()]
        server = psutil.Process(self.cluster.postgres.pid)
        cost: dict[str, Any] = {
            **self.requests,
            "cpu": sum(map(_cpu, workers)),
            "loop": used.ru_utime + used.ru_stime,
            "broker": broker["used_cpu_user"] + broker["used_cpu_sys"],
            "database": sum(map(_cpu, [server, *server.children(recursive=True)])),
            "size": size,
        }
        return Counter(cost)

    def memory(self) -> float:
        """Return the memory of the largest worker, in bytes."""
        return max(
            sum(process.memory_full_info().pss for process in worker.processes())
            for worker in self.cluster.alive().values()
        )


def _price_class(request: Request) -> str:
    if request.method in ("GET", "HEAD"):
        return PUTS if "list-type=" in request.query else GETS
    return DELETES if request.method == "DELETE" or request.query.startswith("delete") else PUTS


def _waiting_stage(request: Request) -> str | None:
    """Return the stage that waits for this request, or None."""
    if request.is_image and not request.key.startswith("staging/") and f"/{RESERVED_ROOT}/" not in request.key:
        return "upload"
    for stage, following in (("download", "compose"), ("compose", "upload")):
        if request.key.startswith("staging/") and f"/{stage}/" in request.key:
            return {"PUT": stage, "GET": following}.get(request.method)
    return None


def _cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and its ended children; 0 if it has ended, because its parent counts it."""
    with suppress(psutil.NoSuchProcess):
        used = process.cpu_times()
        return used.user + used.system + used.children_user + used.children_system
    return 0.0
