"""How a run's process waits for its steps."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dagster._core.executor import child_process_executor
from dagster._core.executor.child_process_executor import (
    PROCESS_DEAD_AND_QUEUE_EMPTY,
    ChildProcessCrashException,
    execute_child_process_command,
)

from imgrelay_dagster.dagster_patches import event_polling
from imgrelay_dagster.dagster_patches.event_polling import EVENT_POLLING, StepPoller, poll_all_steps
from imgrelay_dagster.dagster_patches.guard import install

context: Any = multiprocessing.get_context("fork")

HANGS = 30.0
"""Seconds after which something that should not wait at all counts as hanging."""


def within(call: Callable[[], Any]) -> Any:
    """What a call returns, which must not hang."""
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(call()), daemon=True)
    thread.start()
    thread.join(HANGS)
    assert got, f"no answer after {HANGS:g} s"
    return got[0]


class Step:
    """A process that puts each of its words once it is let."""

    def __init__(self, *words: str) -> None:
        self.queue = context.Queue()
        self.go = context.Semaphore(0)
        self.process = context.Process(target=self._tell, args=(words,), daemon=True)
        self.process.start()

    def _tell(self, words: tuple[str, ...]) -> None:
        for word in words:
            self.go.acquire()
            self.queue.put(word)
        signal.pause()

    def end(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that nothing happens in takes for ever, not 0.1 s."""
    monkeypatch.setattr(event_polling, "TICK", 10 * HANGS)


@pytest.mark.usefixtures("patient")
def test_silent_steps_do_not_keep_another_waiting():
    words = [f"word {number}" for number in range(20)]
    silent, talker, poller = [Step() for _ in range(5)], Step(*words), StepPoller()

    def listen() -> list[str]:
        heard: list[str] = []
        while len(heard) < len(words):
            for step in (*silent[:3], talker, *silent[3:]):
                event = poller.next_event(step.process, step.queue)
                if event is not None:
                    heard.append(event)
                    talker.go.release()
        return heard

    talker.go.release()
    try:
        assert within(listen) == words
    finally:
        for step in (*silent, talker):
            step.end()


@pytest.mark.usefixtures("patient")
def test_a_step_that_is_being_started_is_not_waited_for_by_the_others():
    """Dagster asks it for nothing yet, and starts it in the same rounds in which it asks the others."""
    silent, poller = Step(), StepPoller()
    try:
        assert within(lambda: [poller.next_event(silent.process, silent.queue) for _ in range(3)]) == [None] * 3
    finally:
        silent.end()


@pytest.mark.usefixtures("patient")
def test_a_step_that_has_ended_is_not_waited_for():
    ended, talker, poller = Step(), Step("word"), StepPoller()
    ended.end()
    try:
        assert within(lambda: poller.next_event(ended.process, ended.queue)) == PROCESS_DEAD_AND_QUEUE_EMPTY
        ended.queue.close()
        talker.go.release()

        def listen() -> str:
            while (word := poller.next_event(talker.process, talker.queue)) is None:
                pass
            return word

        assert within(listen) == "word"
    finally:
        talker.end()


@pytest.mark.usefixtures("patient")
def test_the_end_of_a_step_ends_the_wait():
    silent, killed, poller = Step(), Step(), StepPoller()

    def listen() -> bool:
        while poller.next_event(killed.process, killed.queue) != PROCESS_DEAD_AND_QUEUE_EMPTY:
            assert poller.next_event(silent.process, silent.queue) is None
        return True

    later = threading.Timer(0.5, killed.end)
    later.start()
    try:
        assert within(listen)
    finally:
        later.join()
        silent.end()


def test_what_a_killed_step_told_before_is_heard():
    step, poller = Step("one", "two"), StepPoller()
    for _ in range(2):
        step.go.release()
    while step.go.get_value() or not step.queue._reader.poll(1):
        pass
    step.end()
    heard = []
    while (event := poller.next_event(step.process, step.queue)) != PROCESS_DEAD_AND_QUEUE_EMPTY:
        heard += [event] if event else []
    assert heard[:1] == ["one"]


def dagsters_poll() -> Any:
    """The function that Dagster's executors call, as they look it up."""
    assert "_poll_for_event" in execute_child_process_command.__code__.co_names
    return child_process_executor._poll_for_event


def test_a_killed_step_says_by_which_signal():
    assert install(EVENT_POLLING)
    step = Step()
    step.end()
    step.process.join()

    def events() -> Iterator[Any]:
        yield dagsters_poll()(step.process, step.queue)

    with pytest.raises(
        ChildProcessCrashException, match="ended by SIGKILL; the kernel or the container was short"
    ) as end:
        list(poll_all_steps(events()))
    assert (end.value.pid, end.value.exit_code) == (step.process.pid, -signal.SIGKILL)


def test_only_runs_of_ours_are_polled_together(monkeypatch: pytest.MonkeyPatch):
    """Also where both kinds of runs take turns in one thread, and where other threads run meanwhile."""
    assert install(EVENT_POLLING)
    asked: list[str] = []
    monkeypatch.setattr(StepPoller, "next_event", lambda *_: asked.append("together"))
    silent = Step()

    def poll() -> None:
        assert dagsters_poll()(silent.process, silent.queue) is None

    def run() -> Iterator[int]:
        for number in range(3):
            poll()
            yield number

    try:
        poll()
        assert asked == []
        for _ in poll_all_steps(run()):
            poll()
            within(lambda: [poll()])
        assert asked == ["together"] * 3
        poll()
        assert asked == ["together"] * 3
    finally:
        silent.end()


def test_a_run_that_is_broken_off_is_closed():
    """So that Dagster's executor gives back what it holds."""
    closed: list[str] = []

    def run() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("closed")

    events = poll_all_steps(run())
    assert next(events) == 1
    events.close()  # type: ignore[attr-defined]  # a generator
    assert closed == ["closed"]
