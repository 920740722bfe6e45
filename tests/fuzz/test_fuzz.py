"""A short round of the fuzzer; `make fuzz` makes a long one."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

FUZZ_ONE_TARGET = """
import pathlib, sys, time
from tests.fuzz import __main__ as fuzzer
from tests.fuzz.targets import TARGETS, Target

def busy(data):
    while True:
        pass

def asleep(data):
    time.sleep(float(sys.argv[2]))
    return "awake"

TARGETS["slow"] = Target(lambda: [b"input"], globals()[sys.argv[1]], 1.0)
fuzzer.MOST_CPU_TIME, fuzzer.MOST_TIME = float(sys.argv[3]), float(sys.argv[4])
note = pathlib.Path(sys.argv[5])
note.write_bytes(bytes(64))
fuzzer._work(0.1, 1, note, "slow")
"""


def test_damaged_input_gives_a_result_or_a_reason_and_never_a_crash():
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "10", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "decode",
        "rarer",
        "manifest",
        "address",
    ]
    assert " picture" in done.stdout
    assert " corrupt_image" in done.stdout


@pytest.mark.parametrize(
    ("target", "sleep", "cpu_time", "wall_time", "status", "output"),
    [
        ("busy", 0, 0.2, 60, -signal.SIGPROF, " in busy\n"),
        ("asleep", 60, 60, 0.5, 1, " in asleep\n"),
        ("asleep", 1, 0.2, 60, 0, " awake\n"),
    ],
)
def test_an_input_has_a_limit_of_cpu_time_and_a_long_one_of_time(
    tmp_path: Path, target: str, sleep: float, cpu_time: float, wall_time: float, status: int, output: str
):
    arguments = [target, str(sleep), str(cpu_time), str(wall_time), str(tmp_path / "note")]
    command = [sys.executable, "-c", FUZZ_ONE_TARGET, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert output in done.stdout + done.stderr
