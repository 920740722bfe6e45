"""The identity of a run's process, and whether that process is gone.

An identity is the text `<hostname> <pid> <start time>@<boot>/<PID namespace>`. It stays unique when the kernel reuses a
pid, when the host restarts, and when a container of the same hostname has a process with the same pid.
"""

import os
import socket
from contextlib import suppress
from functools import cache
from multiprocessing import parent_process
from pathlib import Path

import psutil


def run_process_identity() -> str:
    """The identity of the process that executes this step's run: the parent of a step process, or else this process."""
    parent = parent_process()
    return identify(psutil.Process(None if parent is None else parent.pid))


def current_process_identity() -> str:
    """The identity of this process; for a run's process whose steps execute on other hosts."""
    return identify(psutil.Process())


def identify(process: psutil.Process) -> str:
    """The identity of a process of this host."""
    return f"{socket.gethostname()} {process.pid} {_start_time(process)}@{_pid_namespace()}"


def _start_time(process: psutil.Process) -> str:
    """When a process started, in clock ticks since boot where /proc exists: setting the clock does not change these.

    Elsewhere in seconds since the epoch.
    """
    if not Path("/proc/self/stat").exists():
        return f"{process.create_time():.0f}"
    return Path(f"/proc/{process.pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]  # proc(5), 22


@cache
def _pid_namespace() -> str:
    """Identifies this boot of the host and the PID namespace, so that a host or container of the same name differs.

    `-` where /proc does not show them.
    """
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:13]}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    return "-"


def is_on_this_host(identity: str) -> bool:
    """Whether the process is one of this host, this boot and this PID namespace; False for a malformed identity."""
    host, _, _, pid_namespace = _split(identity)
    return host == socket.gethostname() and pid_namespace == _pid_namespace()


def process_is_gone(identity: str) -> bool:
    """Whether the process has ended; False for a process of another host or container, which cannot be checked."""
    if not is_on_this_host(identity):
        return False
    _, pid, started, _ = _split(identity)
    try:
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or _start_time(process) != started
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return True


def _split(identity: str) -> tuple[str, str, str, str]:
    """Host, process ID, start time and PID namespace; all empty where a run's tag is not such an identity."""
    match identity.rsplit(" ", 2):
        case [host, pid, started] if pid.isdecimal():
            time, _, pid_namespace = started.partition("@")
            return host, pid, time, pid_namespace
    return "", "", "", ""
