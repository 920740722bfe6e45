"""Canceling a run of the command line with each signal: all processes stop, and finished work is kept."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import STEP_EVENTS

from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.relay.storage.scratch_files import SCRATCH
from tests.conftest import Ran, command_environment
from tests.support.command import RunningCommand, assert_quiet, read_summary, run_folder, until
from tests.support.hostile_origin import HostileOrigin
from tests.support.stored_files import check_accounts, files, images, write_manifest

Command = Callable[..., Ran]
ENTRIES = 400
AT_ONCE = 100
"""More requests than a run has under way at the same time, in the two steps that download: some have been answered."""

STOP_SECONDS = 12.0
"""A cancel takes one to three seconds on an idle machine."""


@pytest.fixture
def origin() -> Iterator[HostileOrigin]:
    """Serve one picture under any number of URLs, each with the delay in its path."""
    found = picture("jpeg/small-dawn.jpg")
    with HostileOrigin({"/x.jpg": (found.data, found.media_type)}) as server:
        yield server


@pytest.fixture
def manifest(origin: HostileOrigin, tmp_path: Path) -> Path:
    """A manifest whose first 50 URLs are answered quickly, the others slowly."""
    delays = [5] * 50 + [800] * (ENTRIES - 50)
    urls = [origin.url(f"/latency/{delay}/{number}/x.jpg") for number, delay in enumerate(delays)]
    return write_manifest(tmp_path, urls)


def connections(origin: HostileOrigin) -> int:
    """Return the number of established connections to the origin, as counted by the kernel."""
    port = f":{origin.port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(port) and line.split()[3] == "01" for line in lines)


def status(home: Path) -> dg.DagsterRunStatus:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        (run,) = instance.get_runs()
        return run.status


def steps_after_the_end(home: Path) -> list[str]:
    """The events of steps that the run's log has after the run's end."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        (run,) = instance.get_runs()
        kinds = [(event.dagster_event_type, event.message) for event in instance.all_logs(run.run_id)]
    ended = [kind for kind, _ in kinds].index(dg.DagsterEventType.RUN_CANCELED)
    return [f"{kind}: {message}" for kind, message in kinds[ended:] if kind in STEP_EVENTS]


def some_uploaded(out: Path) -> bool:
    return any(path.suffix == ".jpg" for path in out.rglob("*"))


def slow_requests(origin: HostileOrigin) -> int:
    return sum("/latency/800/" in target for target in list(origin.hits))


def catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(mask >> (number - 1) & 1)


def semaphores(pid: int) -> set[Path]:
    """Return the files of the semaphores that a process shares with others."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {Path(line.split()[5]) for line in maps if "/dev/shm/sem." in line}


@pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, True), (signal.SIGHUP, True)],
    ids=["ctrl-c", "sigint", "sigterm", "sighup"],
)
def test_a_canceled_run_stops_keeps_finished_work_and_accounts_for_every_line(
    imgrelay: Command, home: Path, origin: HostileOrigin, manifest: Path, tmp_path: Path, number: int, group: bool
):
    out = tmp_path / "out"
    options = ("--manifest", manifest, "--destination", out, "--json")
    with RunningCommand(home, tmp_path, *options, "--urls-per-task", "50") as command:
        until(lambda: some_uploaded(out) and slow_requests(origin) > AT_ONCE, 90, "a slow download has ended")
        began = time.monotonic()
        command.send(number, group=group)
        ran = command.wait(STOP_SECONDS)
        command.wait_until_gone(1)
        assert time.monotonic() - began < STOP_SECONDS
    assert ran.code == 130
    assert_quiet(ran.err)
    summary = ran.summary
    assert f"canceled; launch again to do the {summary['not_attempted']} entries" in ran.err
    assert (summary["status"], summary["failed"]) == ("canceled", 0)
    assert summary["not_attempted"] > 0
    assert summary == read_summary(out)
    assert {path.name for path in run_folder(out).iterdir()} >= {"summary.json", "results.jsonl", "failed.jsonl"}
    check_accounts(files(out), summary, ENTRIES)
    assert status(home) is dg.DagsterRunStatus.CANCELED
    assert steps_after_the_end(home) == []
    assert not list((home / "staging").iterdir())
    until(lambda: connections(origin) == 0, 3, "every connection is closed")
    if number == signal.SIGINT and group:
        _check_the_next_launch(imgrelay, home, origin, out, options, summary["uploaded"])


def _check_the_next_launch(
    imgrelay: Command, home: Path, origin: HostileOrigin, out: Path, options: tuple[object, ...], uploaded: int
) -> None:
    finished = images(files(out))
    before = Counter(origin.hits)
    again = imgrelay("run", *options)
    assert again.code == 0, again.err
    assert (again.summary["unchanged"], again.summary["uploaded"]) == (uploaded, ENTRIES - uploaded)
    asked = (Counter(origin.hits) - before).total()
    assert ENTRIES - before.total() <= asked < ENTRIES - uploaded  # some were downloaded before, and are kept
    assert not (home / "staging-originals").exists()
    assert {key: data for key, data in images(files(out)).items() if key in finished} == finished


def test_a_second_ctrl_c_ends_at_once(home: Path, manifest: Path, tmp_path: Path):
    """The steps are frozen, so after the first Ctrl-C the command waits until it kills them."""
    with RunningCommand(home, tmp_path, "--manifest", manifest, "--destination", tmp_path / "out") as command:
        steps = until(command.step_processes, 60, "a step is running")
        for step in steps:
            os.kill(step, signal.SIGSTOP)
        command.send(signal.SIGINT)
        time.sleep(1)
        assert command.process.poll() is None
        assert semaphores(command.process.pid) == set()  # a process that is ended at once would leave them behind
        began = time.monotonic()
        command.send(signal.SIGINT)
        ran = command.wait(5)
        command.wait_until_gone(1)
        assert time.monotonic() - began < 2.5
    assert (ran.code, ran.out) == (130, "")
    assert "ended at once, without a summary; launch again" in ran.err
    assert_quiet(ran.err)
    assert status(home) is dg.DagsterRunStatus.CANCELED
    # A plan that is killed leaves temporary files, which a later launch deletes.
    assert [path for path in (home / "staging").iterdir() if path.name != SCRATCH] == []


def test_a_step_that_hangs_is_killed(home: Path, origin: HostileOrigin, manifest: Path, tmp_path: Path):
    with RunningCommand(home, tmp_path, "--manifest", manifest, "--destination", tmp_path / "out", "--json") as command:
        until(lambda: len(origin.hits) > 5, 60, "downloads have begun")
        os.kill(command.step_processes()[0], signal.SIGSTOP)
        command.send(signal.SIGINT)
        ran = command.wait(20)
        command.wait_until_gone(1)
    assert (ran.code, ran.summary["status"], ran.summary["entries"]) == (130, "canceled", ENTRIES)
    assert_quiet(ran.err)


def test_a_cancel_while_the_manifest_is_read(home: Path, origin: HostileOrigin, tmp_path: Path):
    """There are no results yet, and nothing is left behind, not even the dataset lock."""
    manifest = write_manifest(tmp_path, [origin.url(f"/{number}/x.jpg") for number in range(100_000)])
    out = tmp_path / "out"
    with RunningCommand(home, tmp_path, "--manifest", manifest, "--destination", out) as command:
        until(lambda: list(out.glob("_relay/*/receipts/lock.json")), 60, "the run is being planned")
        command.send(signal.SIGINT, group=True)
        ran = command.wait(STOP_SECONDS)
        command.wait_until_gone(1)
    assert (ran.code, ran.out) == (130, "")
    assert "canceled while the run was being planned; nothing was relayed" in ran.err
    assert_quiet(ran.err)
    assert files(out) == {}
    assert not origin.hits
    assert status(home) is dg.DagsterRunStatus.CANCELED
    assert not list((home / "staging").iterdir())


@pytest.mark.parametrize("after", [0.0, 0.5, 1.3])
def test_ctrl_c_before_the_run_starts(home: Path, manifest: Path, tmp_path: Path, after: float):
    """Mostly while Dagster is imported, and never before the interpreter has reached the command."""
    options = ("--manifest", manifest, "--destination", tmp_path / "out")
    with RunningCommand(home, tmp_path, *options, cold=True) as command:
        until(lambda: catches(command.process.pid, signal.SIGTERM), 60, "the command listens")
        time.sleep(after)
        command.send(signal.SIGINT, group=True)
        ran = command.wait(STOP_SECONDS)
        command.wait_until_gone(1)
    assert (ran.code, ran.out) == (130, ""), ran.err
    assert "imgrelay: canceled" in ran.err
    assert_quiet(ran.err)
    assert not images(files(tmp_path / "out"))


INTERRUPTED_NAME = """
class Interrupted:
    def __set_name__(self, owner, name):
        raise KeyboardInterrupt
class Named:
    field = Interrupted()
"""


@pytest.mark.parametrize("code", ["raise KeyboardInterrupt", INTERRUPTED_NAME])
@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("_launch_run", ["run", "http://h/a.jpg"], "imgrelay: canceled before the run began\n"),
        ("_other_command", ["runs"], "imgrelay: canceled\n"),
    ],
)
def test_an_interrupt_inside_an_import_ends_with_the_same_exit_code(
    tmp_path: Path, code: str, function: str, arguments: list[str], message: str
):
    """Most of Dagster's import runs inside `exec`, and Python 3.11 makes another error of one in `__set_name__`."""
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from imgrelay_dagster import cli\n"
        f"cli.{function} = lambda *_, **__: exec({code!r}, {{}})\n"
        f"sys.argv[1:] = {arguments}\n"
        "cli.program()\n"
    )
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, message)


def test_a_closed_terminal_cancels_the_run_and_its_results_are_written(home: Path, manifest: Path, tmp_path: Path):
    out = tmp_path / "out"
    leader, follower = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "imgrelay_dagster.cli",
        "run",
        "--manifest",
        str(manifest),
        "--destination",
        str(out),
    ]
    # The session's leader gets the terminal by opening it, as a shell in a terminal window does.
    opened = f"import os; os.open({os.ttyname(follower)!r}, os.O_RDWR); os.execv({sys.executable!r}, {command!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", opened],
        cwd=tmp_path,
        env=command_environment(home),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    try:
        shown = b""
        end = time.monotonic() + 60
        while b"downloaded" not in shown and time.monotonic() < end:
            shown += os.read(leader, 4096)
        assert b"starting" in shown
        assert b"relaying" in shown
        os.close(leader)
        assert process.wait(STOP_SECONDS) == 130
    finally:
        process.kill()
        process.wait()
    assert read_summary(out)["status"] == "canceled"
    assert status(home) is dg.DagsterRunStatus.CANCELED


def test_an_ignored_sighup_stays_ignored(home: Path, origin: HostileOrigin, tmp_path: Path):
    """As under nohup: a signal that is ignored when the command starts stays ignored."""
    manifest = write_manifest(tmp_path, [origin.url(f"/latency/1000/{number}/x.jpg") for number in range(3)])
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        command = RunningCommand(home, tmp_path, "--manifest", manifest, "--destination", tmp_path / "out", "--json")
    finally:
        signal.signal(signal.SIGHUP, ignored)
    with command:
        until(lambda: origin.hits, 60, "downloads have begun")
        command.send(signal.SIGHUP, group=True)
        ran = command.wait(60)
    assert (ran.code, ran.summary["uploaded"]) == (0, 3), ran.err
