"""Child processes that do not outlive us, and that Ctrl-C in the terminal reaches only through us."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

# Runs in the child before the program: asks Linux to kill it when the thread that started it ends
# (prctl(2), PR_SET_PDEATHSIG), and gives up if that came too late. A `preexec_fn` would do the same, but
# is not safe in a process with threads.
_LAUNCHER = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(sys.argv[2]), 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone")
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
    """Starts `command` (its first item a path) in a session of its own.

    Args:
        environment: all of the child's environment variables.
        death_signal: sent to the child when this process ends first, however it ends (Linux only). Start the
            child from a thread that lasts as long as it does: Linux counts the end of that thread.
        folder: working folder; ours by default.
        output: where its standard output and errors go; ours by default.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(int(death_signal))]
    # Waived: there is no shell, and the command is one of ours.
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
    """Terminates `process`, and kills it when it has not ended after `seconds`."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
