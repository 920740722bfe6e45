"""A real RabbitMQ server for the tests, on the loopback address.

with RabbitMQ(folder) as server:
    server.url
"""

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self

from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.ports import HOST, free_ports
from tests.support.command import until

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's own program; the one in the path would become another user."""

START_LIMIT = 90.0


def missing() -> str | None:
    """What keeps it from being started here, for `pytest.mark.skipif`."""
    if not SERVER.exists() or shutil.which("epmd") is None:
        return "rabbitmq-server is not installed (Debian: apt-get install rabbitmq-server)"
    return None


class RabbitMQ:
    """A RabbitMQ server with nothing in it, running between `with` and its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._peers, self._names = free_ports(3)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """Its address, as Celery takes it."""
        return f"amqp://guest:guest@{HOST}:{self._port}//"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        (self._folder / "plugins").write_text("[].\n")
        environment = {
            "PATH": os.defpath,
            "HOME": str(self._folder),
            "ERL_EPMD_PORT": str(self._names),
            "RABBITMQ_NODENAME": f"tests-{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._peers),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "logs"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }
        try:
            names = [shutil.which("epmd") or "", "-address", HOST, "-port", str(self._names)]
            for command in (names, [SERVER]):
                with (self._folder / "output").open("ab") as output:
                    self._processes.append(
                        child.start(command, environment=environment, death_signal=signal.SIGTERM, output=output)
                    )
            until(self._answers, START_LIMIT, f"RabbitMQ answers; {self._folder / 'output'} says why not")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def _answers(self) -> bool:
        assert self._processes[-1].poll() is None, (self._folder / "output").read_text()
        with suppress(OSError), socket.create_connection((HOST, self._port), timeout=1) as connection:
            connection.sendall(b"AMQP\0\0\x09\1")
            return connection.recv(1) == b"\1"
        return False
