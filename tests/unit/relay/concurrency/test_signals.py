"""Work that an interrupt may not cut in two."""

import os
import random
import signal
import threading
from collections.abc import Iterator

import pytest

from imgrelay_dagster.relay.concurrency.background import BackgroundCall
from imgrelay_dagster.relay.concurrency.signals import defer_interrupts, ignore_interrupts


class Interrupted(BaseException):
    pass


def raise_interrupted(*_: object) -> None:
    raise Interrupted


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Let SIGINT and SIGALRM raise an exception of the test's own."""
    saved = {number: signal.signal(number, raise_interrupted) for number in (signal.SIGINT, signal.SIGALRM)}
    yield
    for number, handler in saved.items():
        signal.signal(number, handler)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_waits_for_the_end_of_the_block():
    did = []
    with pytest.raises(Interrupted), defer_interrupts():
        interrupt()
        did.append("the rest")
    assert did == ["the rest"]
    with pytest.raises(Interrupted):
        interrupt()


def test_an_interrupt_that_came_is_handled_when_asked_for_and_once():
    did = []
    with defer_interrupts() as handle:
        handle()
        interrupt()
        interrupt()
        with pytest.raises(Interrupted):
            handle()
        handle()
        did.append("the rest")
    assert did == ["the rest"]


def test_blocks_may_lie_within_each_other():
    did = []
    with pytest.raises(Interrupted), defer_interrupts():
        with defer_interrupts():
            interrupt()
        did.append("after the inner one")
        with ignore_interrupts():
            pass
        interrupt()
        did.append("the rest")
    assert did == ["after the inner one", "the rest"]
    assert signal.getsignal(signal.SIGINT) is raise_interrupted


def test_an_error_of_the_block_is_raised_where_nothing_interrupts():
    with pytest.raises(ValueError, match="wrong"), defer_interrupts():
        raise ValueError("wrong")
    assert signal.getsignal(signal.SIGINT) is raise_interrupted


def test_a_signal_that_is_ignored_or_has_its_default_effect_keeps_it():
    before = signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGCHLD)
    with defer_interrupts():
        assert (signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGCHLD)) == before


def test_in_another_thread_nothing_is_deferred():
    seen = []

    def work() -> None:
        with defer_interrupts() as handle:
            handle()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert seen == [raise_interrupted]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_moment_keeps_no_later_thread_from_running():
    chance, interrupted = random.Random(3), 0
    for _ in range(400):
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0002, 0.002))
                for _ in range(1_000):
                    BackgroundCall(lambda: None)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupted:
            interrupted += 1
        assert signal.getsignal(signal.SIGINT) is raise_interrupted
    ran = threading.Event()
    threading.Thread(target=ran.set, daemon=True).start()
    assert ran.wait(30)
    assert interrupted > 50
