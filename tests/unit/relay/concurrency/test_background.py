"""Calls made in threads of their own."""

import threading
from collections.abc import Iterator

import pytest

from imgrelay_dagster.relay.concurrency.background import ahead


def test_answers_come_in_the_items_order_and_no_more_calls_are_under_way_than_told():
    running, most, lock, meet = 0, 0, threading.Lock(), threading.Barrier(3)

    def call(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if number < 3:
            meet.wait(10)
        with lock:
            running -= 1
        return number * 2

    assert [answer.wait() for answer in ahead(range(50), call, at_once=3)] == [number * 2 for number in range(50)]
    assert most == 3


def test_what_a_call_raises_is_raised_in_its_turn_and_the_others_answer():
    def call(number: int) -> int:
        if number == 1:
            raise ValueError("one")
        return number

    answers = ahead(range(4), call, at_once=2)
    assert next(answers).wait() == 0
    with pytest.raises(ValueError, match="one"):
        next(answers).wait()
    assert [answer.wait() for answer in answers] == [2, 3]


def test_no_call_is_made_for_what_nobody_asks_for():
    asked = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    assert next(ahead(items(), lambda number: number, at_once=4)).wait() == 0
    assert asked == [0, 1, 2, 3]
    assert list(ahead([], lambda number: number, at_once=4)) == []
