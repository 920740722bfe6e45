"""The server deployment without its containers: the commands of deploy/ as processes, on Postgres and S3."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from imgrelay_dagster.demo.ports import free_ports
from imgrelay_dagster.demo.seaweed import SeaweedFS
from tests.conftest import ROOT, command_environment
from tests.support import warm_start
from tests.support.command import until
from tests.support.dagster_runs import READY_LIMIT
from tests.support.dagster_servers import DagsterServers
from tests.support.kubernetes_api import LIBRARIES
from tests.support.postgres import Postgres

DEPLOY = ROOT / "deploy"
PROGRAMS = Path(sys.executable).parent


def compose(*files: str) -> dict[str, Any]:
    """The services of compose files, by their names."""
    services: dict[str, Any] = {}
    for file in files or ("compose.yaml",):
        services |= yaml.safe_load((DEPLOY / file).read_text())["services"]
    return services


def listens(port: int) -> bool:
    """Whether a server listens on this port of this host."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def dockerfile(instruction: str) -> list[str]:
    """The last CMD of the Dockerfile that stands by itself, or in its HEALTHCHECK."""
    pattern = rf"^{instruction}[^\[]*(\[.*\])$" if instruction == "CMD" else rf"^{instruction}[^\[]*CMD (\[.*\])$"
    *_, found = re.findall(pattern, (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    return json.loads(found)


class ComposeDeployment(DagsterServers):
    """Code location, webserver and daemon, each started by the command that its container has.

    All are started as usual, and so are their runs. Their `DAGSTER_HOME` holds deploy/'s own files and
    cannot be written: images, results and scratch space are in S3.
    """

    def __init__(
        self, folder: Path, postgres: Postgres, store: SeaweedFS, bucket: str, *, warm: bool = False, **environment: str
    ) -> None:
        super().__init__(folder, warm=warm, **environment)
        for name in ("dagster.yaml", "workspace.yaml"):
            (self.home / name).write_bytes((DEPLOY / name).read_bytes())
        self.home.chmod(0o555)
        self._code_port, self._port = free_ports(2)
        self._bucket, self._store, self._postgres = bucket, store, postgres
        self.roles: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What compose gives its containers."""
        given = {
            **self._postgres.environment(),
            **self._store.environment(),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "IMGRELAY_PRELOAD_POSTGRES": "1",
            "IMGRELAY_STORAGE": str(self._folder / "storage"),
            "IMGRELAY_STAGING": str(self._folder / "staging"),
            "IMGRELAY_CODE_HOST": "127.0.0.1",
            "IMGRELAY_CODE_PORT": str(self._code_port),
            "IMGRELAY_DESTINATION": f"s3://{self._bucket}/framed",
            "IMGRELAY_INBOX": f"s3://{self._bucket}/inbox",
        }
        return command_environment(self.home, **{**given, **self._environment})

    @property
    def dagster(self) -> dg.DagsterInstance:
        """The instance, beside its servers: read in their environment, which its file takes addresses from."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            return super().dagster

    def command(self, role: str) -> list[str]:
        """The command of a container, with this machine's ports and paths."""
        command = compose()[role].get("command") or dockerfile("CMD")
        return [str(PROGRAMS / command[0]), *self._here(command[1:])]

    def _here(self, words: list[str]) -> list[str]:
        places = {
            "4000": str(self._code_port),
            "3000": str(self._port),
            "0.0.0.0": "127.0.0.1",
            "/opt/dagster/workspace.yaml": str(self.home / "workspace.yaml"),
        }
        return [places.get(word, word.replace(":3000/", f":{self._port}/")) for word in words]

    def health(self, role: str, *, cold: bool = False) -> subprocess.CompletedProcess[str]:
        """The health check of a container; `cold` starts its program as Docker does."""
        check = compose()[role].get("healthcheck", {}).get("test", ["CMD", *dockerfile("HEALTHCHECK")])[1:]
        return self.run([str(PROGRAMS / check[0]), *self._here(check[1:])], cold=cold)

    def run(self, command: list[str], *, cold: bool = False) -> subprocess.CompletedProcess[str]:
        """A command in the containers' environment, to its end."""
        return warm_start.run(
            command, cwd=self._folder, env=self.environment, timeout=120, cold=cold, libraries=LIBRARIES
        )

    def wait_until_healthy(self, role: str) -> None:
        """Wait until a container's server listens and its health check passes."""
        port = {"code": self._code_port, "webserver": self._port}[role]
        until(lambda: listens(port), READY_LIMIT, f"{role} listens on its port; {self.log} says why not")
        until(lambda: self.health(role).returncode == 0, READY_LIMIT, f"{role} is healthy")

    def start(self) -> None:
        """Make the tables, then start what compose starts, each when what it depends on is healthy."""
        migrated = self.run(self.command("migrate"), cold=not self._warm)
        assert migrated.returncode == 0, migrated.stderr
        self.start_role("code")
        self.wait_until_healthy("code")
        for role in ("webserver", "daemon"):
            self.start_role(role)
        self._process = self.roles["webserver"]
        until(self._ready, READY_LIMIT, f"the UI answers; {self.log} says why not")
        self._servers = {*self.processes()}

    def start_role(self, role: str) -> None:
        """Start a container's process."""
        with self.log.open("ab") as log:
            log.write(f"\n== {role}: {shlex.join(self.command(role))}\n".encode())
            self.roles[role] = warm_start.popen(
                self.command(role),
                cold=not self._warm,
                death_signal=signal.SIGTERM,
                libraries=LIBRARIES,
                cwd=self._folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> list[str]:
        """Stop all roles as `docker compose stop` does; returns the processes that were left, which are ended too."""
        for process in reversed(self.roles.values()):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        for process in self.roles.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
        self._process = None
        return super().stop()
