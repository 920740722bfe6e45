"""The text form of adjustments."""

import pytest

from imgrelay_dagster.relay.adjustments import EXAMPLE, Adjustments
from imgrelay_dagster.relay.errors import RelayError


def test_the_example_is_read_and_written():
    found = Adjustments.parse(EXAMPLE)
    assert found == Adjustments(20.0, 8, 10.0, paused=True)
    assert found.to_text() == EXAMPLE
    assert Adjustments.parse(" threads=8,paused ") == Adjustments(threads=8, paused=True)


def test_no_words_adjust_nothing():
    assert Adjustments.parse("") == Adjustments()
    assert Adjustments().to_text() == ""


@pytest.mark.parametrize(
    "word",
    [
        "thread=8",
        "threads",
        "threads=0",
        "threads=2.5",
        "threads=999",
        "max_requests_per_second=nan",
        "max_requests_per_second=0",
        "tolerated_failure_percentage=101",
        "tolerated_failure_percentage=x",
        "Paused",
    ],
)
def test_a_wrong_word_is_named(word: str):
    with pytest.raises(RelayError) as caught:
        Adjustments.parse(word)
    assert word in str(caught.value)


def test_own_adjustments_count_before_others():
    own, others = Adjustments(threads=4), Adjustments(threads=8, tolerated_failure_percentage=0.0, paused=True)
    assert own.over(others) == Adjustments(threads=4, tolerated_failure_percentage=0.0, paused=True)
