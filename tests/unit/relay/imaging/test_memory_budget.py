"""The pixel budget: the limit holds, threads are served in order, and no thread is stuck."""

import threading
import time

import pytest

from imgrelay_dagster.relay.errors import Stopped
from imgrelay_dagster.relay.imaging.memory_budget import MemoryBudget


def wait_until(condition: object, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.001)


def test_threads_together_never_hold_more_than_the_limit() -> None:
    budget = MemoryBudget(100)
    held: list[int] = []

    def work(pixels: int) -> None:
        for _ in range(20):
            with budget.hold(pixels):
                held.append(budget.held)
                time.sleep(0.0002)

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (10, 30, 60, 90, 100, 50, 20, 70)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(held) == 160
    assert max(held) <= 100
    assert budget.held == 0


def test_two_images_that_fit_are_held_together() -> None:
    budget = MemoryBudget(100)
    with budget.hold(60), budget.hold(40):
        assert budget.held == 100


def test_image_larger_than_the_budget_is_held_alone() -> None:
    budget = MemoryBudget(100)
    passed = threading.Event()

    def work() -> None:
        with budget.hold(1_000_000):
            assert budget.held == 100
            passed.set()

    with budget.hold(1):
        thread = threading.Thread(target=work)
        thread.start()
        assert not passed.wait(0.2)
    thread.join(5)
    assert passed.is_set()
    assert budget.held == 0


def test_small_images_do_not_overtake_a_large_one() -> None:
    budget = MemoryBudget(100)
    order: list[str] = []

    def work(name: str, pixels: int) -> None:
        with budget.hold(pixels):
            order.append(name)

    with budget.hold(50):
        large = threading.Thread(target=work, args=("large", 100))
        large.start()
        wait_until(lambda: len(budget._waiting) == 1)
        small = threading.Thread(target=work, args=("small", 10))
        small.start()
        wait_until(lambda: len(budget._waiting) == 2)
        assert order == []
    large.join(5)
    small.join(5)
    assert order == ["large", "small"]


def test_waiting_thread_stops_on_its_stop_event_and_leaves_the_queue() -> None:
    budget = MemoryBudget(100)
    stop = threading.Event()
    with budget.hold(100):
        threading.Timer(0.05, stop.set).start()
        started = time.monotonic()
        with pytest.raises(Stopped), budget.hold(1, stop):
            pytest.fail("acquired although the budget was exhausted")
        assert time.monotonic() - started < 1
    with budget.hold(100):
        assert budget.held == 100


def test_exception_releases_the_pixels() -> None:
    budget = MemoryBudget(100)
    with pytest.raises(KeyError), budget.hold(70):
        raise KeyError("x")
    assert budget.held == 0


def test_budget_below_one_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        MemoryBudget(0)
