"""The pixel budget: never more pixels at once, nobody passed by, nobody stuck."""

import threading
import time

import pytest

from imgrelay_dagster.relay.errors import Stopped
from imgrelay_dagster.relay.imaging.pixel_budget import PixelBudget


def wait_until(condition: object, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.001)


def test_threads_together_never_hold_more_than_the_limit() -> None:
    budget = PixelBudget(100)
    seen: list[int] = []

    def work(pixels: int) -> None:
        for _ in range(20):
            with budget.hold(pixels):
                seen.append(budget.held)
                time.sleep(0.0002)

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (10, 30, 60, 90, 100, 50, 20, 70)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(seen) == 160
    assert max(seen) <= 100
    assert budget.held == 0


def test_two_images_that_fit_are_held_together() -> None:
    budget = PixelBudget(100)
    with budget.hold(60), budget.hold(40):
        assert budget.held == 100


def test_an_image_larger_than_the_budget_passes_alone() -> None:
    budget = PixelBudget(100)
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


def test_a_large_image_is_not_passed_by_by_small_ones() -> None:
    budget = PixelBudget(100)
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


def test_a_waiting_thread_stops_when_told_and_leaves_the_queue() -> None:
    budget = PixelBudget(100)
    stop = threading.Event()
    with budget.hold(100):
        threading.Timer(0.05, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Stopped), budget.hold(1, stop):
            pytest.fail("held although there was no room")
        assert time.monotonic() - began < 1
    with budget.hold(100):
        assert budget.held == 100


def test_an_exception_gives_the_pixels_back() -> None:
    budget = PixelBudget(100)
    with pytest.raises(KeyError), budget.hold(70):
        raise KeyError("x")
    assert budget.held == 0


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 lets nothing pass"):
        PixelBudget(0)
