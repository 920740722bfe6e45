"""Measures a command with all its processes: CPU, memory, scratch files, and how long the last of them lives."""

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
"""Seconds between two looks at memory and scratch files, at least."""

SHARE = 0.02
"""Of one core that looking takes at most: it would slow down whom it looks at, and most who has most processes."""

_SUBREAPER = 36  # prctl(2), PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Metered:
    """What a command cost.

    `cpu` is CPU seconds, user and system, of all its processes, ended ones included. `peak_memory` is the most that
    they held together, shared pages counted once (PSS), in bytes. `peak_scratch` is bytes too. `stopping` is the time
    from the signal that `run(stop=...)` sent until the last process had gone.
    """

    code: int
    out: str
    err: str
    began: float
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
) -> Metered:
    """Run a command to its end, and to that of everything it started.

    Args:
        folder: its working folder, where `stdout` and `stderr` are kept.
        scratch: a folder whose size is watched.
        stop: asked now and then; once it says so the command gets SIGINT.
    """
    # Processes whose parent dies become ours, so that nothing they cost is lost.
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory = scratch_bytes = scratch_files = 0
    stopped: float | None = None
    code: int | None = None
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        began = time.time()
        process = subprocess.Popen(
            # Where this is started in the background, SIGINT is ignored, and what it starts inherits that.
            ["env", "--default-signal=INT", *map(str, command)],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        ends = due = began
        while code is None or _session(process.pid):
            pid, status = _reap()
            if pid == process.pid:
                code, ends = os.waitstatus_to_exitcode(status), time.time()
            if time.time() >= due:
                looked = time.thread_time()
                memory = max(memory, sum(map(_pss, _session(process.pid))))
                if scratch is not None:
                    sizes = _sizes(scratch)
                    scratch_bytes, scratch_files = max(scratch_bytes, sum(sizes)), max(scratch_files, len(sizes))
                due = time.time() + max(INTERVAL, (time.thread_time() - looked) / SHARE)
                if stopped is None and stop():
                    stopped = time.time()
                    process.send_signal(signal.SIGINT)
            if pid == 0:
                time.sleep(0.02)
        gone = time.time()
    process.returncode = code
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Metered(
        code=code,
        out=(folder / "stdout").read_text(),
        err=(folder / "stderr").read_text(),
        began=began,
        wall=ends - began,
        cpu=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        peak_memory=memory,
        peak_scratch=scratch_bytes,
        peak_scratch_files=scratch_files,
        stopping=None if stopped is None else gone - stopped,
    )


def _reap() -> tuple[int, int]:
    """A child that has ended, and how; (0, 0) where none has."""
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
