"""The `imgrelay` command in a session of its own, to observe, signal and kill while it runs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.conftest import Ran, command_environment
from tests.support import warm_start

NOISE = ("Traceback", "Warning", "Exception", "dagster._", "resource_tracker", "Errno")


def assert_quiet(err: str) -> None:
    """Check that standard error holds nothing but imgrelay's own messages."""
    assert not [word for word in NOISE if word in err], err
    assert all(line.startswith("imgrelay: ") for line in err.splitlines() if line), err


def until(condition: Callable[[], Any], limit: float, what: str) -> Any:
    """Wait for something to become true; return what the condition returned.

    The longer it takes, the less often it is asked, up to four times a second: some conditions start a program or ask a
    server, which costs more CPU than what they wait for.
    """
    started = time.monotonic()
    while not (found := condition()):
        passed = time.monotonic() - started
        assert passed < limit, f"not within {limit:.0f} s: {what}"
        time.sleep(min(0.25, max(0.05, passed / 20)))
    return found


class RunningCommand:
    """A running `imgrelay run`. Leaving the block kills its processes.

    Args:
        cold: start a new Python, which imports Dagster, instead of a fork of a warm process.
    """

    def __init__(self, home: Path, cwd: Path, *arguments: str | Path, cold: bool = False, **environment: str) -> None:
        self.out, self.err = cwd / "stdout", cwd / "stderr"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = warm_start.popen(
                [sys.executable, "-m", "imgrelay_dagster.cli", "run", *map(str, arguments)],
                cwd=cwd,
                env=command_environment(home, **environment),
                cold=cold,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.process.wait(10)

    def processes(self) -> list[int]:
        """The living processes of the command's session."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(session) == self.process.pid and state != "Z":
                found.append(int(folder.name))
        return found

    def step_processes(self) -> list[int]:
        """The processes that work on steps: children of the one that they are forked from."""
        parents = {}
        for pid in self.processes():
            try:
                parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        return [pid for pid, parent in parents.items() if parent in parents and parent != self.process.pid]

    def send(self, number: int, *, group: bool = False) -> None:
        """Signal the command alone, or its process group as a terminal does."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def wait(self, limit: float) -> Ran:
        """Wait for its end; return exit code and output."""
        code = self.process.wait(limit)
        return Ran(code, self.out.read_text(), self.err.read_text())

    def wait_until_gone(self, limit: float) -> None:
        """Wait until no process of the session is left."""
        until(lambda: not self.processes(), limit, "the last process has gone")


def run_folder(out: Path) -> Path:
    """The one run's results in a destination."""
    (folder,) = out.glob("_relay/*/runs/*")
    return folder


def read_summary(out: Path) -> dict[str, Any]:
    """`summary.json` of the one run."""
    return json.loads((run_folder(out) / "summary.json").read_text())
