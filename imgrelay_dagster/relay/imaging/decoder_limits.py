"""The limits of a decoder process, set by the process itself and enforced by the kernel.

No limit depends on Python code that runs while a decoder works: a decoder may hold the interpreter's lock for minutes.
"""

import fcntl
import os
import resource
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BASE_MEMORY = 512 << 20
"""Bytes of address space for the process itself, in addition to those for a picture."""

_OOM_SCORE = "1000"  # the first process that the kernel ends when memory is short; it holds one picture


def prepare_process() -> None:
    """Write no core dumps, and be the first process that the kernel ends when memory is short."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal; the parent decides


@contextmanager
def limited(connection: socket.socket, memory: int, cpu_limit: float) -> Iterator[None]:
    """Limit the block: the kernel ends the process when it uses too much CPU time, or when the parent is gone.

    Args:
        connection: to the parent; nothing must arrive on it within the block.
        memory: bytes that the block may allocate. Beyond them it gets a `MemoryError`.
        cpu_limit: seconds of CPU time.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = BASE_MEMORY + memory if hard == resource.RLIM_INFINITY else min(BASE_MEMORY + memory, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    flags = fcntl.fcntl(connection, fcntl.F_GETFL)
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETFL, flags | os.O_ASYNC)  # SIGIO, which ends the process
    try:
        if _is_closed(connection):  # before the kernel was asked to signal that
            raise SystemExit(0)
        signal.setitimer(signal.ITIMER_PROF, cpu_limit)
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        fcntl.fcntl(connection, fcntl.F_SETFL, flags)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _is_closed(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
