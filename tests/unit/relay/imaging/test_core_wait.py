"""The time in which a process waits for a core is known."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from imgrelay_dagster.relay.imaging.core_wait import CoreWait

_BUSY = "import os\nos.sched_setaffinity(0, {int(os.sys.argv[1])})\nwhile True: pass"


_BUSY_THREADS = """
import hashlib, os, sys, threading
os.sched_setaffinity(0, {int(sys.argv[1])})
stop, data = threading.Event(), bytes(1 << 20)

def work():
    while not stop.is_set():
        hashlib.sha256(data).digest()  # without the interpreter's lock

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
sys.stdin.readline()
stop.set()
for thread in threads:
    thread.join()
print("ended", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_that_share_a_core_wait_for_it() -> None:
    core = min(os.sched_getaffinity(0))
    with ExitStack() as exits:
        waits = []
        for _ in range(2):
            process = exits.enter_context(subprocess.Popen([sys.executable, "-c", _BUSY, str(core)]))
            exits.callback(process.kill)
            waits.append(CoreWait(process.pid))
        deadline = time.monotonic() + 60
        while min(wait.seconds() or 0.0 for wait in waits) < 0.2:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_wait_of_a_thread_that_has_ended_counts() -> None:
    """Two busy threads share a core; they end when the program is told to."""
    command = [sys.executable, "-c", _BUSY_THREADS, str(min(os.sched_getaffinity(0)))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        wait, deadline = CoreWait(process.pid), time.monotonic() + 60
        while (wait.seconds() or 0.0) < main_wait(process.pid) + 0.5:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ended\n"
        while (
            len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 1
        ):  # Python joins a thread before the kernel ends it
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert (CoreWait(process.pid).seconds() or 0.0) <= main_wait(process.pid)  # the kernel forgot the others
        known = main_wait(process.pid) + 0.5
        assert (wait.seconds() or 0.0) >= known - 1e-6  # sums, rounded
        process.stdin.close()


def main_wait(pid: int) -> float:
    """The seconds for which the main thread of a process waited for a core."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) * 1e-9


def test_the_wait_of_a_process_that_has_ended_is_unknown() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(60)
        assert CoreWait(process.pid).seconds() is None
