"""Which process works on a run, and whether it is gone."""

import os
import socket
from contextlib import suppress
from functools import cache
from multiprocessing import parent_process
from pathlib import Path

import psutil


def run_process() -> str:
    """The process that this step's run lives in, told apart from any later one with the same number."""
    parent = parent_process()
    return identify(psutil.Process(None if parent is None else parent.pid))


def this_process() -> str:
    """The same of this very process, where it is the run's and its steps are elsewhere."""
    return identify(psutil.Process())


def identify(process: psutil.Process) -> str:
    return f"{socket.gethostname()} {process.pid} {_started(process)}@{_pid_namespace()}"


def _started(process: psutil.Process) -> str:
    """When a process began, in ticks since the host was started: seconds since the epoch change with the clock."""
    if not Path("/proc/self/stat").exists():
        return f"{process.create_time():.0f}"
    return Path(f"/proc/{process.pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]  # proc(5), 22


@cache
def _pid_namespace() -> str:
    """What tells the processes of this host, since it was started, from those of a container or host of its name."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:13]}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    return "-"


def is_on_this_host(tag: str) -> bool:
    host, _, began = tag.rsplit(" ", 2)
    return host == socket.gethostname() and began.partition("@")[2] == _pid_namespace()


def process_is_gone(tag: str) -> bool:
    """Whether the process of `run_process` has ended; never said of another host's, nor of another container's."""
    if not is_on_this_host(tag):
        return False
    _, pid, began = tag.rsplit(" ", 2)
    try:
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or _started(process) != began.partition("@")[0]
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return True
