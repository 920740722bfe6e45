"""Memory and processes of a command and its children, read from /proc while they run."""

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")


@dataclass(frozen=True)
class Sample:
    """One process at one moment; `at` in seconds since the first sample, memory in kB."""

    at: float
    pid: int
    name: str
    pss: int
    rss: int
    threads: int


class Sampler:
    """Samples a process and everything below it, in a thread, until it is left or the process is gone."""

    def __init__(self, pid: int, interval: float = 0.5) -> None:
        self.samples: list[Sample] = []
        self._pid = pid
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._over.is_set():
            at = round(time.monotonic() - began, 2)
            for pid in tree(self._pid):
                with suppress(OSError, StopIteration):
                    self.samples.append(look(pid, at))
            self._over.wait(self._interval)

    def totals(self) -> list[tuple[float, int]]:
        """The memory of all processes together, as (seconds, kB of PSS), in order."""
        totals: dict[float, int] = {}
        for sample in self.samples:
            totals[sample.at] = totals.get(sample.at, 0) + sample.pss
        return sorted(totals.items())

    def peak(self) -> int:
        """The most that all processes held together, in kB of PSS."""
        return max(total for _, total in self.totals())

    def lasting(self, share: float = 0.8) -> dict[int, list[Sample]]:
        """The processes that lived for most of the time, with their samples."""
        moments = len({sample.at for sample in self.samples})
        found: dict[int, list[Sample]] = {}
        for sample in self.samples:
            found.setdefault(sample.pid, []).append(sample)
        return {pid: samples for pid, samples in found.items() if len(samples) >= share * moments}

    def rows(self) -> list[dict[str, object]]:
        """The samples, ready for JSON."""
        return [asdict(sample) for sample in self.samples]


def tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    children = []
    for task in (PROC / str(pid) / "task").glob("*/children"):
        with suppress(OSError):
            children += task.read_text().split()
    for child in children:
        yield from tree(int(child))


def look(pid: int, at: float) -> Sample:
    """A process's memory now; OSError when it is gone."""
    folder = PROC / str(pid)
    rollup = dict(_fields((folder / "smaps_rollup").read_text()))
    status = (folder / "status").read_text()
    threads = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Threads:"))
    return Sample(at, pid, _name(folder), rollup["Pss"], rollup["Rss"], threads)


def _fields(rollup: str) -> Iterator[tuple[str, int]]:
    for line in rollup.splitlines()[1:]:
        name, value, *_ = line.split()
        yield name.rstrip(":"), int(value)


def _name(folder: Path) -> str:
    command = (folder / "cmdline").read_bytes().decode(errors="replace")
    for part, name in (("forkserver", "forkserver"), ("resource_tracker", "tracker"), ("cli", "command")):
        if part in command:
            return name
    return "other"


def with_environment(name: str, value: str) -> list[int]:
    """The processes that carry this environment variable, ourselves left out."""
    wanted = f"{name}={value}".encode()
    found = []
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found


def send(number: int, processes: Iterable[int]) -> None:
    """Send a signal to each process."""
    for pid in processes:
        os.kill(pid, number)
