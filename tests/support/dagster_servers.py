"""A Dagster instance under `imgrelay dev`: webserver, daemon and code server, as users start them.

    with DagsterServers(folder) as served:
        run_id = served.launch({"manifest": "birds.txt"})
        served.terminate(run_id)

Runs are launched and terminated through GraphQL, as the UI does it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

from imgrelay_dagster.demo.ports import free_ports
from tests.conftest import ROOT, command_environment
from tests.support import warm_start
from tests.support.command import until
from tests.support.dagster_runs import OVER, READY_LIMIT, DagsterRuns
from tests.support.processes import with_environment

STOP_LIMIT = 60.0

_LOCATIONS = """
{ repositoriesOrError { ... on RepositoryConnection { nodes { jobs { name } } } } }
"""


class DagsterServers(DagsterRuns):
    """A folder with a Dagster instance, manifests and a destination, and the servers of that instance.

    Leaving the block stops the servers as Ctrl-C does. It kills processes that are left, and fails if there were any.

    Args:
        warm: fork servers and runs from a warm process, instead of starting them as usual.
        environment: more variables of the servers.
    """

    def __init__(self, folder: Path, *, warm: bool = True, **environment: str) -> None:
        super().__init__(folder)
        self._warm = warm
        (self.home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
        self.log = folder / "servers.log"
        self._folder = folder
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._servers: set[int] = set()

    @property
    def environment(self) -> dict[str, str]:
        """The environment that servers and commands share."""
        folders = {"IMGRELAY_DESTINATION": str(self.out), "IMGRELAY_MANIFESTS": str(self.manifests)}
        own = {"DAGSTER_DISABLE_TELEMETRY": "yes"}
        return command_environment(self.home, **{**own, **folders, **self._environment})

    def start(self) -> None:
        """Start `imgrelay dev` in a session of its own and wait until it knows job `relay`."""
        (self._port,) = free_ports(1)
        dev = [sys.executable, "-m", "imgrelay_dagster.cli", "dev"]
        with self.log.open("ab") as log:
            self._process = warm_start.popen(
                [*dev, "--port", str(self._port)],
                cold=not self._warm,
                death_signal=signal.SIGTERM,
                with_children=True,
                cwd=self._folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._ready, READY_LIMIT, f"the UI answers; {self.log} says why not")
        self._servers = {pid for pid in self.processes() if " -m dagster" in _describe(pid)}

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        with suppress(OSError, KeyError, TypeError):
            nodes = self.ask(_LOCATIONS)["repositoriesOrError"]["nodes"]
            return "relay" in [job["name"] for node in nodes for job in node["jobs"]]
        return False

    def stop(self) -> list[str]:
        """Stop the servers as Ctrl-C does; returns the processes that were left, which are ended too."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_LIMIT)
        end = time.monotonic() + STOP_LIMIT
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        described = [_describe(pid) for pid in left]
        self.kill(*left)
        return described

    def restart(self, **environment: str) -> None:
        """Stop the servers and start them again with a changed environment."""
        left = self.stop()
        assert not left, left
        self._environment |= environment
        self.start()

    def lose_the_machine(self) -> None:
        """Kill every process of this instance at once: servers, runs and steps."""
        self.kill(*self.processes())
        until(lambda: not self.processes(), 20, "every process has ended")

    def kill(self, *pids: int) -> None:
        """`kill -9`."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None and self._process.pid in pids:
            self._process.wait(10)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        left = self.stop()
        if self._instance is not None:
            self._instance.dispose()
        assert kind or not left, left

    # Processes

    def processes(self) -> list[int]:
        """The running processes of this instance, servers and runs: all have its `DAGSTER_HOME`."""
        return [pid for pid in with_environment("DAGSTER_HOME", str(self.home)) if _lives(pid)]

    def run_processes(self) -> list[int]:
        """The processes of runs: a run's own, the one its steps are forked from, the steps."""
        return [pid for pid in self.processes() if pid not in self._servers and not self._is_helper(pid)]

    def _is_helper(self, pid: int) -> bool:
        """Whether this is a helper that the code server has from its first run on: resource tracker or warm server."""
        with suppress(psutil.NoSuchProcess):
            named = _describe(pid)
            return psutil.Process(pid).ppid() in self._servers and (
                "resource_tracker" in named or "warm_server.py" in named
            )
        return True

    def server(self, part: str) -> int:
        """The process of a server, by a part of its command line."""
        (pid,) = (pid for pid in self._servers if _lives(pid) and part in _describe(pid))
        return pid

    def run_process(self, run_id: str) -> int:
        """The run's own process."""
        told = "Started process for run (pid: "
        messages = until(
            lambda: [message for message in self.messages(run_id) if message.startswith(told)], 120, "the run starts"
        )
        return int(messages[0].removeprefix(told).rstrip(")."))

    def step_processes(self, run_id: str) -> list[int]:
        """The processes that work on steps of a run: children of the one that they are forked from."""
        with suppress(psutil.NoSuchProcess):
            return [
                step.pid
                for child in psutil.Process(self.run_process(run_id)).children()
                if "forkserver" in _describe(child.pid)
                for step in child.children()
            ]
        return []

    def terminate_to_the_end(self, run_id: str) -> tuple[float, float] | None:
        """Terminate a run and wait until nothing is left of it.

        Returns the seconds from the click until it counts as canceled and until its last process is gone, or None
        if it came to its own end first.
        """
        clicked = time.monotonic()
        while not self.terminate(run_id):
            if self.status(run_id) in OVER:
                return None
            time.sleep(0.2)
            clicked = time.monotonic()
        ended = self.wait_for(run_id, *OVER, limit=90)
        canceled = time.monotonic() - clicked
        until(lambda: not self.run_processes(), 60, "the run's last process is gone")
        gone = time.monotonic() - clicked
        return (canceled, gone) if ended == "CANCELED" else None


def connections(port: int) -> int:
    """Open connections to a port of this host, the server's own ends left out."""
    return sum(
        bool(found.raddr) and found.raddr.port == port and found.status == psutil.CONN_ESTABLISHED
        for found in psutil.net_connections("tcp4")
    )


def seconds_until(condition: Callable[[], Any], limit: float, what: str) -> float:
    """How long something takes to become true."""
    began = time.monotonic()
    until(condition, limit, what)
    return time.monotonic() - began


def _lives(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _describe(pid: int) -> str:
    with suppress(psutil.NoSuchProcess):
        return f"{pid}: {' '.join(psutil.Process(pid).cmdline())[:300]}"
    return f"{pid}: gone"
