"""A Celery worker on a host of its own, simulated with Linux namespaces.

A host has namespaces of its own for files, processes and its name: it sees nothing of the tests' folder, nor of another
host's scratch files, and its process numbers are those of the others too, as in containers. As in containers, its file
system is read-only except for one folder. The network is shared.
Without the right to create namespaces a host is only a separate folder, and `isolated()` is False.
"""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from tests.conftest import command_environment
from tests.support import warm_start

OWN_HOST = Path(__file__).with_name("own_host.py")

LIBRARIES = (
    "celery.app.trace",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "dagster_celery",
    "dagster_postgres",
    "kombu.transport.redis",
    "psycopg2",
    "redis",
)
"""What the worker, and the command that starts a run on workers, import beside Dagster."""


@cache
def isolated() -> bool:
    """Whether workers get namespaces of their own."""
    with tempfile.TemporaryDirectory() as hidden:
        command = [sys.executable, OWN_HOST, "probe", hidden, f"{hidden}/host", sys.executable, "-c", ""]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Worker:
    """The worker.

    Args:
        folder: for its log; the folder around it is what the worker does not see.
        slots: steps that it works on at once.
        variables: the environment that it shares with the other roles.
        enter: the beginning of a command that starts it in a network of its own (`networks.py`).
    """

    def __init__(
        self, folder: Path, name: str, slots: int, variables: Mapping[str, str], enter: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.log = folder / f"worker-{name}.log"
        hidden, own = folder.parent, folder.parent / f"host-{name}"
        celery = [sys.executable, "-m", "celery", "-A", "imgrelay_dagster.on_celery.worker", "worker"]
        command: list[str | Path] = [*celery, "--concurrency", str(slots), "--hostname", f"celery@{name}", "-l", "INFO"]
        if isolated():
            own = hidden / "host"
            command = [sys.executable, OWN_HOST, name, hidden, own, *command]
        else:
            own.mkdir(exist_ok=True)  # a worker that is started again
        command = [*enter, *command]
        environment = command_environment(own, **variables, HOME=str(own), TMPDIR=str(own), IMGRELAY_STORAGE=str(own))
        del environment["DAGSTER_HOME"]
        with self.log.open("ab") as output:
            self.process = warm_start.popen(
                command,
                cold=bool(enter),
                death_signal=signal.SIGKILL,
                libraries=LIBRARIES,
                with_children=True,
                cwd=Path("/") if isolated() else own,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return f"celery@{self.name} ready" in self.log.read_text()

    def processes(self) -> list[psutil.Process]:
        """Its living processes, those that steps run in last."""
        with suppress(psutil.NoSuchProcess):
            return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        return []

    def slots(self) -> list[psutil.Process]:
        """The processes that steps run in: children of Celery's own."""
        found = self.processes()
        main = next(
            process for process in found if process.children() and OWN_HOST.name not in " ".join(process.cmdline())
        )
        return main.children()

    def kill(self) -> None:
        """`kill -9` of all its processes at once, as when its host is lost."""
        for process in reversed(self.processes()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(10)

    def terminate(self) -> None:
        """Send it SIGTERM, as Docker and Kubernetes do."""
        self.slots()[0].parent().terminate()  # type: ignore[union-attr]
