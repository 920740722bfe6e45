"""Calls in background threads."""

import threading
from collections.abc import Iterator

import pytest

from imgrelay_dagster.relay.concurrency.background import call_ahead


def test_calls_are_yielded_in_the_items_order_and_concurrency_is_limited():
    running, peak, lock, barrier = 0, 0, threading.Lock(), threading.Barrier(3)

    def call(number: int) -> int:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        if number < 3:
            barrier.wait(10)
        with lock:
            running -= 1
        return number * 2

    assert [pending.wait() for pending in call_ahead(range(50), call, concurrency=3)] == [
        number * 2 for number in range(50)
    ]
    assert peak == 3


def test_an_exception_is_raised_for_its_call_only():
    def call(number: int) -> int:
        if number == 1:
            raise ValueError("one")
        return number

    calls = call_ahead(range(4), call, concurrency=2)
    assert next(calls).wait() == 0
    with pytest.raises(ValueError, match="one"):
        next(calls).wait()
    assert [pending.wait() for pending in calls] == [2, 3]


def test_items_beyond_the_concurrency_are_not_consumed_early():
    consumed = []

    def items() -> Iterator[int]:
        for number in range(100):
            consumed.append(number)
            yield number

    assert next(call_ahead(items(), lambda number: number, concurrency=4)).wait() == 0
    assert consumed == [0, 1, 2, 3]
    assert list(call_ahead([], lambda number: number, concurrency=4)) == []
