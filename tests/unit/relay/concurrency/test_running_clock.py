"""Time limits count the time in which a process could run."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from imgrelay_dagster.relay.concurrency import running_clock
from imgrelay_dagster.relay.concurrency.running_clock import MAX_GAP, RunningClock, call_again_after_pause
from imgrelay_dagster.relay.fetch.watchdog import Exchange


class Paused:
    """A clock that a test moves, and the running clock that reads it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.running = RunningClock(lambda: self.now)

    def run(self, seconds: int) -> None:
        for _ in range(4 * seconds):
            self.now += 0.25
            self.running.beat()

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Paused:
    made = Paused()
    for module in ("concurrency.running_clock", "fetch.watchdog"):
        monkeypatch.setattr(f"imgrelay_dagster.relay.{module}.process_clock", lambda: made.running)
    return made


def test_a_pause_counts_only_a_moment(paused: Paused) -> None:
    paused.run(10)
    paused.pause(120)
    assert paused.running() == 10 + MAX_GAP
    assert paused.running.lost() == 120 - MAX_GAP
    paused.run(5)
    assert paused.running() == pytest.approx(15 + MAX_GAP, abs=0.3)
    assert paused.running.lost() == pytest.approx(120 - MAX_GAP, abs=0.3)


def test_a_pause_does_not_end_a_download(paused: Paused) -> None:
    exchange = Exchange(60)
    paused.run(10)
    paused.pause(120)
    assert exchange.expired() is None
    paused.run(60)
    assert exchange.expired() is not None


def failing(times: int, before: Callable[[], object]) -> tuple[Callable[[], str], list[int]]:
    calls: list[int] = []

    def call() -> str:
        calls.append(1)
        if len(calls) <= times:
            before()
            raise TimeoutError
        return "stored"

    return call, calls


def test_a_call_that_failed_during_a_pause_is_made_again(paused: Paused) -> None:
    call, calls = failing(2, lambda: paused.pause(120))
    assert call_again_after_pause(call, TimeoutError) == "stored"
    assert len(calls) == 3
    call, calls = failing(99, lambda: paused.pause(120))
    with pytest.raises(TimeoutError):
        call_again_after_pause(call, TimeoutError)
    assert len(calls) == running_clock.MAX_TRIES


def test_another_failure_is_final(paused: Paused) -> None:
    call, calls = failing(1, lambda: paused.run(60))
    with pytest.raises(TimeoutError):
        call_again_after_pause(call, TimeoutError)
    assert len(calls) == 1


def test_a_process_that_was_stopped_by_a_signal_has_lost_that_time() -> None:
    script = (
        "import sys\n"
        "from imgrelay_dagster.relay.concurrency.running_clock import process_clock\n"
        "clock = process_clock(); print('ready', flush=True); sys.stdin.readline(); print(clock.lost())"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(MAX_GAP + 1)
        process.send_signal(signal.SIGCONT)
        lost, _ = process.communicate("\n", timeout=60)
    assert float(lost) > 0.5
