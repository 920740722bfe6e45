"""When a run stored its images."""

import pytest

from imgrelay_dagster.relay.results.stored_times import StoredTimes


def stored(*times: float) -> StoredTimes:
    found = StoredTimes()
    for at in times:
        found.add(at)
    return found


def test_the_largest_gap_is_found_whatever_the_order():
    times = stored(107.5, 100.25, 100.75, 103.0, 104.0)
    assert times.first == 100.25
    assert times.largest_gap == 3.5


def test_a_gap_does_not_need_a_whole_second_without_images():
    assert stored(1.01, 2.99).largest_gap == pytest.approx(1.98)


def test_images_within_one_second_have_no_gap():
    assert stored(5.1, 5.9).largest_gap == 0.0


def test_one_image_has_no_gap_and_no_image_no_time():
    assert (stored(5.1).first, stored(5.1).largest_gap) == (5.1, None)
    assert (stored().first, stored().largest_gap) == (None, None)


def test_memory_grows_with_seconds_not_with_images():
    times = stored(*(number / 10_000 for number in range(30_000)))
    assert len(times._seconds) == 3
