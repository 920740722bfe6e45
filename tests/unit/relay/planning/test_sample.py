"""A sample of a list: random, in order, with the number of all rows, and memory for the sample alone."""

from random import Random

import pytest

from imgrelay_dagster.relay.planning.sample import TICK_ROWS, take_sample


def test_sample_has_the_size_the_order_and_the_number_of_all_rows():
    sample, total = take_sample(range(100_000), 200, Random("run1"))
    assert (len(sample), total) == (200, 100_000)
    assert sample == sorted(set(sample))
    assert sample[-1] > 50_000 > sample[0]
    assert sample != take_sample(range(100_000), 200, Random("run2"))[0]


def test_list_shorter_than_the_sample_is_taken_whole():
    assert take_sample("abc", 5, Random("run1")) == (["a", "b", "c"], 3)
    assert take_sample("", 5, Random("run1")) == ([], 0)


def test_canceled_run_stops_reading():
    read = []

    def rows():
        for number in range(10 * TICK_ROWS):
            read.append(number)
            yield number

    with pytest.raises(InterruptedError):
        take_sample(rows(), 5, Random("run1"), _cancel)
    assert len(read) == TICK_ROWS


def _cancel() -> None:
    raise InterruptedError
