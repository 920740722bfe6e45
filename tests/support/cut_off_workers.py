"""A run on Celery workers with networks of their own, one of which is cut off from a service for a while."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.ports import HOST
from tests.support.celery_cluster import Cluster
from tests.support.celery_run import CeleryRun
from tests.support.command import until
from tests.support.networks import Network

SERVICES = ("redis", "postgres", "store")
TASK = 20
ENTRIES = 16 * TASK


@contextmanager
def workers_in_networks(cluster: Cluster, origin: Origin, *names: str) -> Iterator[dict[str, Network]]:
    """Start workers with networks of their own; yields the networks by the worker's name."""
    services = {
        "redis": f"{HOST}:{cluster.redis_port}",
        "postgres": f"{HOST}:{cluster.postgres.port}",
        "store": f"{HOST}:{cluster.store.endpoint.rpartition(':')[2]}",
        "origin": f"{HOST}:{origin.port}",
    }
    with ExitStack() as exits:
        networks = {name: exits.enter_context(Network(name, services)) for name in names}
        exits.callback(cluster.stop_workers)
        cluster.more = {"IMGRELAY_ALLOWED_HOSTS": "10.213.0.0/16", "IMGRELAY_CELERY_LOST_AFTER": "60"}
        for name, network in networks.items():
            cluster.worker_in(network, name)
        yield networks


def urls_of(origin: Origin, network: Network, name: str) -> list[str]:
    """The URLs of a list, as the workers reach the origin."""
    here = origin.url(f"jpeg/small-dawn.jpg?{name}=")
    return [f"{here.replace(f'{HOST}:{origin.port}', network.addresses['origin'])}{n}" for n in range(ENTRIES)]


def cut_while_downloading(run: CeleryRun, network: Network, worker: str, service: str, seconds: float) -> None:
    """Cut a worker off from a service while it downloads, and heal its network."""
    until(lambda: run.at_work(worker, "download"), 120, f"worker {worker} downloads")
    network.cut(service)
    time.sleep(seconds)
    network.heal(service)


def repeated(origin: Origin, name: str) -> int:
    """Requests for the URLs of a list beyond one for each."""
    asked = Counter({target: count for target, count in list(origin.hits.items()) if f"{name}=" in target})
    assert len(asked) == ENTRIES
    return asked.total() - ENTRIES
