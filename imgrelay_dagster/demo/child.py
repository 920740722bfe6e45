"""Child processes that end with this process, and that get Ctrl-C from this process instead of the terminal."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

# Runs in the child before the program: asks Linux to send it a signal when the thread that started it ends
# (prctl(2), PR_SET_PDEATHSIG), and exits if the parent has ended already. A `preexec_fn` could do the same, but
# is not safe in a process with threads.
_LAUNCHER = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(sys.argv[2]), 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent process has ended")
os.execv(sys.argv[3], sys.argv[3:])
"""


def start(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    death_signal: int,
    folder: Path | None = None,
    output: IO[bytes] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start `command`, whose first item is a path, in a new session.

    Args:
        environment: all of the child's environment variables.
        death_signal: sent to the child when this process ends before it, whatever the cause (Linux only). Linux also
            sends it when the thread that called this function ends, so call it from a long-lived thread.
        folder: the child's working folder, by default that of this process.
        output: a file for its standard output and standard error, by default those of this process.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(int(death_signal))]
    # Bandit warning waived: no shell, and the command is our own.
    return subprocess.Popen(  # nosec B603
        [*launcher, *map(str, command)],
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def stop(process: "subprocess.Popen[bytes]", *, seconds: float) -> None:
    """Terminate `process`, and kill it if it has not ended after `seconds`."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
