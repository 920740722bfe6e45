"""A run on Celery workers with networks of their own; one host is cut off from a service for a while."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from imgrelay_dagster.demo.ports import HOST
from tests.conftest import Ran
from tests.support import celery_cluster, networks
from tests.support.celery_cluster import Cluster
from tests.support.celery_run import CeleryRun
from tests.support.command import until
from tests.support.networks import Network
from tests.support.slow_origin import slow_origin

NEEDED = [
    pytest.mark.redis,
    pytest.mark.root,
    pytest.mark.skipif(celery_cluster.missing() is not None, reason=str(celery_cluster.missing())),
    pytest.mark.skipif(networks.missing() is not None, reason=str(networks.missing())),
]
"""Marks of tests that use this module."""

SERVICES = ("redis", "postgres", "store")
WORKERS = ("first", "second")
RUN = "run"
"""The host on which the run's own process is, if it has a network of its own."""

ALL_WORKERS = "workers"
"""All of them at the same time."""

ANSWER = 0.6
"""Seconds until the origin answers."""

THREADS = 4
TASK = 20
ENTRIES = 16 * TASK

LOST_AFTER = 60
"""Seconds after which the steps of a worker that is not heard of go to others."""


@dataclass(frozen=True)
class Cut:
    """A host loses its connection to a service.

    Attributes:
        host: a worker, `ALL_WORKERS` or `RUN`.
        outgoing: whether packets from the host are dropped.
        incoming: whether packets to the host are dropped.
    """

    service: str
    seconds: float
    host: str = WORKERS[0]
    outgoing: bool = True
    incoming: bool = True

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that are cut off."""
        return WORKERS if self.host == ALL_WORKERS else (self.host,)


@dataclass(frozen=True)
class Relayed:
    """A run that has ended.

    Attributes:
        rows: its results.
        again: how often each step was started again.
        repeated: requests beyond one for each entry.
        attempts: those of them that the results tell.
    """

    ran: Ran
    rows: list[dict[str, Any]]
    again: dict[str, int]
    repeated: int
    attempts: int

    @property
    def repeated_downloads(self) -> int:
        """The entries of download steps that were started again."""
        return TASK * sum(count for step, count in self.again.items() if step.startswith("download"))

    def __str__(self) -> str:
        return (
            f"exit {self.ran.code}; steps started again: {self.again}; requests repeated: {self.repeated}, "
            f"told as attempts: {self.attempts}"
        )


class Testbed:
    """Servers, two workers and an origin; a context manager."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._exits = ExitStack()
        self.networks: dict[str, Network] = {}

    def __enter__(self) -> "Testbed":
        with ExitStack() as exits:
            self.cluster = exits.enter_context(Cluster(self._folder / "here"))
            self.origin = exits.enter_context(slow_origin(ANSWER))
            services = {
                "redis": f"{HOST}:{self.cluster.redis_port}",
                "postgres": f"{HOST}:{self.cluster.postgres.port}",
                "store": f"{HOST}:{self.cluster.store.endpoint.rpartition(':')[2]}",
                "origin": f"{HOST}:{self.origin.port}",
            }
            for name in (*WORKERS, RUN):
                self.networks[name] = exits.enter_context(Network(name, services))
            exits.callback(self.cluster.stop_workers)
            self.cluster.more = {
                "IMGRELAY_ALLOWED_HOSTS": "10.213.0.0/16",
                "IMGRELAY_CELERY_LOST_AFTER": str(LOST_AFTER),
            }
            for name in WORKERS:
                self.cluster.worker_in(self.networks[name], name)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def relay(self, name: str, cuts: Sequence[Cut], *, limit: float) -> Relayed:
        """Relay a list of `ENTRIES` URLs. Each cut is made while the host (or any worker) downloads."""
        urls = self.urls(name)
        form = self.form(name, urls)
        own = self.networks[RUN] if any(cut.host == RUN for cut in cuts) else None
        with self.cluster.launch(form, network=own) as run:
            for cut in cuts:
                self._make(cut, run)
            ran = run.wait(limit)
        # A step that is retried starts once more with another event than at first.
        starts = run.steps(dg.DagsterEventType.STEP_START, whole=True)
        starts += run.steps(dg.DagsterEventType.STEP_RESTARTED, whole=True)
        rows = self.cluster.results("framed", name, run.id)
        assert [row["url"] for row in rows] == urls
        return Relayed(
            ran,
            rows,
            {step: count - 1 for step, count in starts.items() if count > 1},
            self.repeated(name),
            sum(max(0, row["attempts"] - 1) for row in rows),
        )

    def relay_again(self, name: str, *, limit: float) -> list[dict[str, Any]]:
        """Launch a list once more, which must succeed; returns its results."""
        with self.cluster.launch(self.form(name, self.urls(name))) as run:
            ran = run.wait(limit)
        assert ran.code == 0, ran.err
        return self.cluster.results("framed", name, run.id)

    def form(self, name: str, urls: list[str]) -> dict[str, Any]:
        """The run config of a list."""
        manifest = self.cluster.put(f"manifests/{name}.txt", urls)
        return {
            "manifest": manifest,
            "urls_per_task": TASK,
            "max_concurrent": 4,
            "download": {"threads": THREADS},
        }

    def urls(self, name: str) -> list[str]:
        """The URLs of a list, as the workers reach the origin."""
        here = self.origin.url(f"jpeg/small-dawn.jpg?{name}=")
        there = here.replace(f"{HOST}:{self.origin.port}", self.networks[WORKERS[0]].addresses["origin"])
        return [f"{there}{number}" for number in range(ENTRIES)]

    def _make(self, cut: Cut, run: CeleryRun) -> None:
        at_work = WORKERS if cut.host == RUN else cut.hosts
        until(lambda: any(run.at_work(name, "download") for name in at_work), 120, f"{at_work} download")
        with self._cut(cut):
            time.sleep(cut.seconds)

    @contextmanager
    def _cut(self, cut: Cut) -> Iterator[None]:
        networks = [self.networks[host] for host in cut.hosts]
        try:
            for network in networks:
                network.cut(cut.service, outgoing=cut.outgoing, incoming=cut.incoming)
            yield
        finally:
            for network in networks:
                network.heal(cut.service)

    def repeated(self, name: str) -> int:
        """Requests for the URLs of a list beyond one for each."""
        asked = Counter({target: count for target, count in list(self.origin.hits.items()) if f"?{name}=" in target})
        return asked.total() - len(asked)

    def check_stored(self, relayed: Relayed) -> None:
        """Check that all entries are uploaded, and that nothing is left in staging."""
        assert [(row["url"], row["detail"]) for row in relayed.rows if row["outcome"] != "uploaded"] == []
        assert {row["key"] for row in relayed.rows} <= self.cluster.images("framed").keys()
        assert self.cluster.objects("staging/") == {}
