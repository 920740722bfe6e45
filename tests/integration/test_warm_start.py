"""Commands that tests fork from a warm process are real processes, like those that are started as usual."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support import warm_start

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks by clone(2)")

SHOW = """
import os, sys
leads = os.getsid(0) == os.getpid()
print(sys.argv[1:], os.getcwd(), os.environ.get("NAME"), leads, len(os.listdir("/proc/self/task")))
print("lost", file=sys.stderr)
sys.exit(7)
"""
WAIT = """
import signal, threading
def interrupted(number, frame):
    print("interrupted", flush=True)
signal.signal(signal.SIGUSR1, interrupted)
signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
while True:
    signal.pause()
"""

FAMILY = """
import os, subprocess, sys
show = "import os, sys; print('dagster' in sys.modules, os.getppid(), os.environ.get('NAME'), flush=True); sys.exit(3)"
for more in ({}, {"PYTHONPATH": "/nowhere"}):
    done = subprocess.run([sys.executable, "-c", show], env={**os.environ, "NAME": "a child's", **more})
    assert done.returncode == 3
subprocess.run("echo of $NAME shell", shell=True, check=True)
os.execv(sys.executable, [sys.executable, "-c", show])
"""


def start(code: str, *arguments: str, **options: object) -> subprocess.Popen[str]:
    """Start Python code by the warm process; fail where it would be started as usual."""
    environment = {**os.environ, "NAME": "own"}
    assert warm_start.can_be_warm(environment)
    process = warm_start.popen([sys.executable, "-c", code, *arguments], env=environment, text=True, **options)
    assert isinstance(process, warm_start.WarmPopen)
    return process


def test_it_has_arguments_folder_environment_session_and_exit_code_of_its_own(tmp_path: Path):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(SHOW, "a b", cwd=tmp_path, start_new_session=True, **pipes)
    out, err = process.communicate(timeout=60)
    assert out == f"['a b'] {tmp_path} own True 1\n"
    assert (err, process.returncode) == ("lost\n", 7)


def test_it_is_a_child_that_can_be_seen_signalled_and_killed(tmp_path: Path):
    process = start(WAIT, cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "interrupted\n"
    seen = psutil.Process(process.pid)
    assert seen.ppid() == os.getpid()
    assert seen.environ()["NAME"] == "own"
    assert seen.cmdline()[:2] == [sys.executable, "-c"]
    process.kill()
    assert process.wait(10) == -signal.SIGKILL


def test_the_programs_that_it_starts_and_becomes_can_be_forked_too(tmp_path: Path):
    process = start(FAMILY, with_children=True, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert out.splitlines() == [
        f"True {process.pid} a child's",
        f"False {process.pid} a child's",  # of another PYTHONPATH
        "of own shell",
        f"True {os.getpid()} own",
    ]
    assert (err, process.returncode) == ("", 3)


def test_a_command_with_another_interpreters_settings_is_started_as_usual():
    process = warm_start.popen([sys.executable, "-c", ""], env={**os.environ, "PYTHONPATH": "/nowhere"})
    assert not isinstance(process, warm_start.WarmPopen)
    assert process.wait(60) == 0
