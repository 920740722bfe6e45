"""Measures a command and all its processes: CPU, memory, scratch files, and the time until the last one has ended."""

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.5
"""Minimum seconds between two samples of memory and scratch files."""

MAX_OVERHEAD = 0.02
"""Maximum share of one core that sampling uses. It slows the command down, the more the more processes it has."""

_SUBREAPER = 36  # prctl(2), PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Usage:
    """The resources that a command used.

    `cpu` is CPU seconds, user and system, of all its processes, also those that have ended. `peak_memory` is the
    maximum of their memory in bytes, with shared pages counted once (PSS). `peak_scratch` is in bytes too. `stopping`
    is the seconds from the SIGINT of `run(stop=...)` until the last process has ended.
    """

    code: int
    out: str
    err: str
    started: float
    wall: float
    cpu: float
    peak_memory: int
    peak_scratch: int
    peak_scratch_files: int
    stopping: float | None = None


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    folder: Path,
    scratch: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Usage:
    """Run a command until it and all processes that it started have ended.

    Args:
        folder: its working folder, which gets the files `stdout` and `stderr`.
        scratch: a folder whose size is sampled.
        stop: called at every sample. When it returns true, the command gets SIGINT, once.
    """
    # Orphaned processes become children of this one, so that their usage is counted.
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory = scratch_bytes = scratch_files = 0
    stopped: float | None = None
    code: int | None = None
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        started = time.time()
        process = subprocess.Popen(
            # In a background job of a shell SIGINT is ignored, and child processes inherit that.
            ["env", "--default-signal=INT", *map(str, command)],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        ended = next_sample = started
        while code is None or _session(process.pid):
            pid, status = _reap()
            if pid == process.pid:
                code, ended = os.waitstatus_to_exitcode(status), time.time()
            if time.time() >= next_sample:
                sampling_started = time.thread_time()
                memory = max(memory, sum(map(_pss, _session(process.pid))))
                if scratch is not None:
                    sizes = _sizes(scratch)
                    scratch_bytes, scratch_files = max(scratch_bytes, sum(sizes)), max(scratch_files, len(sizes))
                next_sample = time.time() + max(INTERVAL, (time.thread_time() - sampling_started) / MAX_OVERHEAD)
                if stopped is None and stop():
                    stopped = time.time()
                    process.send_signal(signal.SIGINT)
            if pid == 0:
                time.sleep(0.02)
        finished = time.time()
    process.returncode = code
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        code=code,
        out=(folder / "stdout").read_text(),
        err=(folder / "stderr").read_text(),
        started=started,
        wall=ended - started,
        cpu=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        peak_memory=memory,
        peak_scratch=scratch_bytes,
        peak_scratch_files=scratch_files,
        stopping=None if stopped is None else finished - stopped,
    )


def _reap() -> tuple[int, int]:
    """Reap a child that has ended. Returns its process ID and wait status, or (0, 0) if none has ended."""
    with suppress(ChildProcessError):
        return os.waitpid(-1, os.WNOHANG)
    return 0, 0


def _session(leader: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names only
        if not entry.isdigit():
            continue
        with suppress(OSError):
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry))
    return found


def _pss(pid: int) -> int:
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _sizes(folder: Path) -> list[int]:
    sizes = []
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                sizes.append(os.stat(f"{root}/{name}").st_size)  # noqa: PTH116 - thousands of them
    return sizes
