"""What a forked process shares with the one that it was forked from, and has to get for itself.

Its parent, and what others see of it in `/proc`: its arguments and environment. Its open files, and Python's streams.
"""

import ctypes
import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

CLONE_PARENT = 0x00008000
SYS_CLONE = {"x86_64": 56, "aarch64": 220}


class Memory(NamedTuple):
    """Where `/proc` reads this process's arguments and environment, and where the C library keeps its thread id."""

    arguments: tuple[int, int]
    environment: tuple[int, int]
    thread_id: int


def find_memory() -> Memory:
    """Find the addresses.

    Raises:
        LookupError: the C library is not laid out as expected.
    """
    fields = list(map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[1:]))
    start = 48 - 4  # proc_pid_stat(5) numbers arg_start 48; the list starts with field 4
    library = ctypes.PyDLL(None)
    library.pthread_self.restype = ctypes.c_void_p
    base = int(library.pthread_self())
    words = (ctypes.c_int * 512).from_address(base)
    found = [number for number, word in enumerate(words) if word == os.getpid()]
    if len(found) != 1:
        raise LookupError("no single place holds the thread id")
    return Memory((fields[start], fields[start + 1]), (fields[start + 2], fields[start + 3]), base + 4 * found[0])


def fork_for_parent(memory: Memory) -> int:
    """Fork; the new process is a child of this one's parent. Returns its id, and 0 in it."""
    library = ctypes.PyDLL(None)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = library.syscall(SYS_CLONE[os.uname().machine], CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
        if pid < 0:
            raise OSError("clone failed")
        return pid
    ctypes.c_int.from_address(memory.thread_id).value = os.getpid()  # as the C library's own fork does
    ctypes.pythonapi.PyOS_AfterFork_Child()
    return 0


def show_arguments(memory: Memory, arguments: list[str]) -> None:
    """Have `/proc/self/cmdline` read as these arguments, joined by spaces, as setproctitle(3) would."""
    start, end = memory.arguments
    data = os.fsencode(" ".join(arguments))[: end - start - 2]
    ctypes.memmove(start, data.ljust(end - start - 1, b"\0") + b"x", end - start)  # no zero at the end: it is a title


def show_environment(memory: Memory) -> None:
    """Have `/proc/self/environ` read as the present environment."""
    start, end = memory.environment
    data = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in os.environ.items())[: end - start]
    ctypes.memmove(start, data.ljust(end - start, b"\0"), end - start)


def open_streams() -> None:
    """Open standard input, output and error anew, as an interpreter does that has just been started."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        raw = io.FileIO(number, "r" if number == 0 else "w", closefd=False)
        buffer: Any = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
        stream = io.TextIOWrapper(
            buffer,
            encoding=old.encoding,
            errors=old.errors,
            line_buffering=number == 2 or raw.isatty(),
            write_through=bool(number and old.write_through),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def close_all_but(*kept: int) -> None:
    """Close all descriptors but these and the standard ones."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names only
        if int(name) not in (0, 1, 2, *kept):
            with suppress(OSError):  # the one that the listing was read by
                os.close(int(name))
