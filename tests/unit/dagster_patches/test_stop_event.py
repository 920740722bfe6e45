"""How a process is told of a cancel."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from imgrelay_dagster.dagster_patches.stop_event import METHODS, StopEvent, tell_without_waiting

HANGS = 30.0
"""Seconds after which something that should not wait at all counts as hanging."""


def wait_for_it(event: StopEvent, about_to: Any) -> None:
    """What a step does in a thread of its own."""
    about_to.release()
    sys.exit(0 if event.wait() and event.is_set() else 1)


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    tell_without_waiting()
    return multiprocessing.get_context(request.param)


@pytest.fixture
def waiting(context: Any) -> Any:
    """A process that waits for an event, and the event."""
    event, about_to = context.Event(), context.Semaphore(0)
    process = context.Process(target=wait_for_it, args=(event, about_to), daemon=True)
    process.start()
    assert about_to.acquire(timeout=HANGS)
    yield process, event
    process.kill()
    process.join()


def set_it(event: StopEvent) -> bool:
    """Whether it can be set without hanging."""
    thread = threading.Thread(target=event.set, daemon=True)
    thread.start()
    thread.join(HANGS)
    return not thread.is_alive()


def test_who_waits_is_told(waiting: tuple[Any, StopEvent]) -> None:
    process, event = waiting
    assert not event.is_set()
    assert set_it(event)
    process.join(HANGS)
    assert process.exitcode == 0
    assert event.is_set()


def test_who_waits_later_is_told_too(context: Any) -> None:
    event = context.Event()
    assert set_it(event)
    assert set_it(event)
    assert event.wait(0)


def test_who_has_ended_is_not_waited_for(waiting: tuple[Any, StopEvent]) -> None:
    process, event = waiting
    sleeping: Any = event
    while sleeping._cond._sleeping_count._semlock._is_zero():  # until it truly sleeps
        os.sched_yield()
    os.kill(process.pid, signal.SIGKILL)
    process.join(HANGS)
    assert set_it(event)
    assert event.is_set()


def test_it_is_in_use_wherever_our_executors_are_loaded() -> None:
    code = """
import multiprocessing, imgrelay_dagster.definitions
print([type(multiprocessing.get_context(method).Event()).__name__ for method in ("forkserver", "spawn")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['StopEvent', 'StopEvent']"
