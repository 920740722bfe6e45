"""A stop event wakes its waiter, and never waits for a process that has ended."""

import os
import signal
import sys
import threading
from typing import Any

import pytest

from imgrelay_dagster.dagster_patches.stop_event import StopEvent, StopEventSpawnContext

HANGS = 30.0
"""Seconds after which something that should not wait at all counts as hanging."""


def wait_for(event: StopEvent, about_to: Any) -> None:
    """What a step does in a thread of its own."""
    about_to.release()
    sys.exit(0 if event.wait() and event.is_set() else 1)


@pytest.fixture
def context() -> Any:
    """The context that has stop events."""
    return StopEventSpawnContext()


@pytest.fixture
def waiting(context: Any) -> Any:
    """A process that waits for an event, and the event."""
    event, about_to = context.Event(), context.Semaphore(0)
    process = context.Process(target=wait_for, args=(event, about_to), daemon=True)
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


def test_a_waiting_process_wakes(waiting: tuple[Any, StopEvent]) -> None:
    process, event = waiting
    assert not event.is_set()
    assert set_it(event)
    process.join(HANGS)
    assert process.exitcode == 0
    assert event.is_set()


def test_a_wait_that_starts_later_returns_at_once(context: Any) -> None:
    event = context.Event()
    assert set_it(event)
    assert set_it(event)
    assert event.wait(0)


def test_a_process_that_has_ended_is_not_waited_for(waiting: tuple[Any, StopEvent]) -> None:
    process, event = waiting
    sleeping: Any = event
    while sleeping._cond._sleeping_count._semlock._is_zero():
        os.sched_yield()
    with sleeping._cond:  # killed before it releases the lock, it would keep the lock for ever
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join(HANGS)
    assert set_it(event)
    assert event.is_set()


def test_an_event_that_was_set_twice_is_cleared_by_one_call(context: Any) -> None:
    event = context.Event()
    event.set()
    event.set()
    event.clear()
    assert not event.is_set()
