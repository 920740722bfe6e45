"""Real Redis, Postgres and S3 servers, Celery workers on simulated hosts, and runs that use them.

with Cluster(folder) as cluster:
    cluster.worker("first"), cluster.worker("second")
    with cluster.launch({"manifest": "s3://images/birds.txt"}) as run:
        run.wait(60)
"""

import json
import shutil
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import dagster as dg
import pytest
import redis
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.ports import HOST, free_ports
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.resources import StoresResource
from tests.conftest import ROOT, command_environment
from tests.support.celery_run import CeleryRun
from tests.support.celery_worker import Worker
from tests.support.command import until
from tests.support.networks import Network
from tests.support.postgres import Postgres
from tests.support.rabbitmq import RabbitMQ

BUCKET = "images"
LOST_AFTER = 5.0
"""Seconds after which a killed worker's steps are given to others; a minute outside tests."""


@cache
def missing() -> str | None:
    """Return why a cluster cannot be started here, for `pytest.mark.skipif`; None if it can."""
    if not sys.platform.startswith("linux"):
        return "looks into /proc"
    if shutil.which("redis-server") is None:
        return "redis-server is not installed (Debian: apt-get install redis-server)"
    return None


class Cluster:
    """The servers and the workers. Leaving the block stops all of them.

    Args:
        rabbitmq: the broker, instead of Redis.

    `more` holds additional environment variables of workers and runs.
    """

    def __init__(self, folder: Path, rabbitmq: RabbitMQ | None = None) -> None:
        self.folder = folder
        self.rabbitmq = rabbitmq
        self.home = folder / "home"
        self.workers: list[Worker] = []
        self.more: dict[str, str] = {}
        self._servers = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.home.mkdir(parents=True)
            if self.rabbitmq is None:
                self.redis_port = self._redis()
            self._servers.callback(self.stop_workers)
            self.postgres = self._servers.enter_context(Postgres())
            self.store = self._servers.enter_context(SeaweedFS(self.folder / "store"))
            self.store.create_bucket(BUCKET)
            self.s3 = self.store.client()
            (self.home / "dagster.yaml").write_bytes((ROOT / "deploy" / "dagster.yaml").read_bytes())
        except BaseException:
            self._servers.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    @property
    def broker(self) -> str:
        if self.rabbitmq is not None:
            return self.rabbitmq.url
        return f"redis://{HOST}:{self.redis_port}/0"

    @property
    def addresses(self) -> dict[str, str]:
        """The variables that every role shares."""
        return {
            **self.store.environment(),
            **self.postgres.environment(),
            "IMGRELAY_EXECUTOR": "celery",
            "IMGRELAY_CELERY_BROKER": self.broker,
            "IMGRELAY_CELERY_LOST_AFTER": f"{LOST_AFTER:g}",
            "IMGRELAY_DESTINATION": f"s3://{BUCKET}/framed",
            "IMGRELAY_STAGING": f"s3://{BUCKET}/staging",
            "IMGRELAY_PRELOAD_POSTGRES": "1",
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            **self.more,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the run's process."""
        return command_environment(self.home, **self.addresses, IMGRELAY_STORAGE=str(self.home))

    def worker_in(self, network: Network, name: str, slots: int = 2) -> Worker:
        """Start a worker that reaches the servers through a network of its own, and wait until it answers."""
        variables = {**self.addresses, **self._addresses_in(network)}
        worker = Worker(self.folder, name, slots, variables, network.command())
        self.workers.append(worker)
        until(worker.answers, 60, f"worker {name} answers; {worker.log} says why not")
        return worker

    def _addresses_in(self, network: Network) -> dict[str, str]:
        """The variables with the servers' addresses in a network, which has `redis`, `postgres` and `store`."""
        there = network.addresses
        postgres, port = there["postgres"].split(":")
        return {
            "IMGRELAY_CELERY_BROKER": f"redis://{there['redis']}/0",
            "AWS_ENDPOINT_URL_S3": f"http://{there['store']}",
            "IMGRELAY_POSTGRES_HOST": postgres,
            "IMGRELAY_POSTGRES_PORT": port,
        }

    def worker(self, name: str, slots: int = 2) -> Worker:
        """Start a worker, and wait until it answers."""
        return self.start_workers(name, slots=slots)[0]

    def start_workers(self, *names: str, slots: int = 2) -> list[Worker]:
        """Start several at once, and wait until all answer."""
        started = [Worker(self.folder, name, slots, self.addresses) for name in names]
        self.workers += started
        for worker in started:
            until(worker.answers, 60, f"worker {worker.name} answers; {worker.log} says why not")
        return started

    def alive(self) -> dict[str, Worker]:
        """The workers that have not ended, by name."""
        return {worker.name: worker for worker in self.workers if worker.process.poll() is None}

    def stop_workers(self) -> None:
        for worker in self.workers:
            worker.kill()

    def put(self, key: str, lines: list[str]) -> str:
        """Store a manifest; returns its address."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body="".join(f"{line}\n" for line in lines).encode())
        return f"s3://{BUCKET}/{key}"

    def objects(self, prefix: str) -> dict[str, str]:
        """ETags by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {found["Key"]: found["ETag"] for page in pages for found in page.get("Contents", ())}

    def images(self, prefix: str) -> dict[str, str]:
        """ETags of the composed images below a prefix, by what follows it."""
        found = {key.removeprefix(f"{prefix}/"): tag for key, tag in self.objects(f"{prefix}/").items()}
        return {key: tag for key, tag in found.items() if not key.startswith("_relay/")}

    def results(self, prefix: str, dataset: str, run_id: str) -> list[dict[str, Any]]:
        """`results.jsonl` of a run."""
        lines = self.read(f"{prefix}/_relay/{dataset}/runs/{run_id}/results.jsonl").splitlines()
        return [json.loads(line) for line in lines]

    def launch(self, form: dict[str, Any], network: Network | None = None, **environment: str) -> CeleryRun:
        """Start `imgrelay run` with this run config, in a network of its own if there is one."""
        if network is None:
            return CeleryRun(self, form, environment)
        return CeleryRun(self, form, {**self._addresses_in(network), **environment}, network.command())

    def busy(self) -> int:
        """How many steps workers hold just now."""
        return len(self.broker_client.hgetall("unacked"))

    @cached_property
    def broker_client(self) -> Any:
        return redis.Redis(HOST, self.redis_port)

    @cached_property
    def dagster(self) -> dg.DagsterInstance:
        """The instance, beside whatever runs on it."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            return dg.DagsterInstance.from_config(str(self.home))

    @property
    def stores(self) -> StoresResource:
        """The stores that runs use."""
        s3 = S3Resource(
            endpoint_url=self.store.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.store.access_key,
            aws_secret_access_key=self.store.secret_key,
        )
        return StoresResource(s3=s3, staging_address=self.addresses["IMGRELAY_STAGING"])

    def run_status(self, run_id: str) -> dg.DagsterRunStatus:
        run = self.dagster.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def read(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def _redis(self) -> int:
        program = shutil.which("redis-server")
        assert program is not None
        (port,) = free_ports(1)
        options = {
            "port": port,
            "bind": HOST,
            "dir": self.folder,
            "appendonly": "no",
            "save": "",
            "loglevel": "warning",
        }
        command = [program, *(str(part) for name, value in options.items() for part in (f"--{name}", value))]
        with (self.folder / "redis.log").open("ab") as output:
            process = child.start(command, environment={}, death_signal=signal.SIGKILL, output=output)
        self._servers.callback(child.stop, process, seconds=10)
        until(lambda: _listens(port), 20, "Redis listens")
        return port


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection((HOST, port), timeout=1).close()
        return True
    return False
