"""A short round of the fuzzer; `make fuzz` makes a long one."""

import subprocess
import sys

from tests.conftest import ROOT


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
