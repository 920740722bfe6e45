"""How many downloads a step has under way."""

from contextlib import ExitStack, suppress

import pytest

from imgrelay_dagster.relay.errors import Stopped
from imgrelay_dagster.relay.stages.download_pace import SAMPLES, SILENT, START, DownloadPace


def record(pace: DownloadPace, seconds: float, host: str = "h", times: int = SAMPLES) -> None:
    for number in range(times):
        pace.record(f"http://{host}/{number}.jpg", seconds)


def held(pace: DownloadPace) -> int:
    """The number of downloads that may start now."""

    def stop() -> None:
        raise Stopped

    count = 0
    with ExitStack() as slots, suppress(Stopped):
        while True:
            slots.enter_context(pace.slot(stop))
            count += 1
    return count


def test_near_servers_get_no_more_than_at_first():
    pace = DownloadPace(64)
    record(pace, 0.01, times=10 * SAMPLES)
    assert (pace.allowed, held(pace)) == (START, START)


def test_far_servers_get_as_many_as_their_latency_needs():
    pace = DownloadPace(64)
    record(pace, 0.2)
    assert (pace.allowed, held(pace)) == (60, 60)


def test_the_number_has_an_upper_bound():
    pace = DownloadPace(24)
    record(pace, 2.0)
    assert (pace.allowed, held(pace)) == (24, 24)
    assert DownloadPace(8).allowed == 8


def test_a_busy_near_server_does_not_count_as_far():
    pace = DownloadPace(64)
    pace.record("http://h/1.jpg", 0.01)
    record(pace, 0.5)
    assert pace.allowed == START


def test_each_server_counts_with_its_own_latency():
    pace = DownloadPace(64)
    record(pace, 0.01, "near", SAMPLES // 2)
    record(pace, 0.3, "far", SAMPLES // 2)
    assert pace.allowed == 47


def test_a_waiting_download_ends_when_the_step_stops():
    pace = DownloadPace(1)

    def stop() -> None:
        raise Stopped

    with pace.slot(stop), pytest.raises(Stopped), pace.slot(stop):
        pass


def test_a_lower_cap_counts_at_once_and_until_it_is_lifted():
    cap: list[int | None] = [None]
    pace = DownloadPace(64, cap=lambda: cap[0])
    assert held(pace) == START
    for cap[0], free in ((3, 3), (0, 0), (40, START), (None, START)):
        assert held(pace) == free


def test_only_the_cap_limits_downloads_that_wait_for_their_turn():
    cap: list[int | None] = [None]
    pace = DownloadPace(1, cap=lambda: cap[0])

    def stop() -> None:
        raise Stopped

    with pace.capped_slot(stop), pace.capped_slot(stop):
        cap[0] = 2
        with pytest.raises(Stopped), pace.capped_slot(stop):
            pass


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def asked(pace: DownloadPace, asking: ExitStack, host: str, times: int) -> None:
    for number in range(times):
        asking.enter_context(pace.asking(f"http://{host}/{number}.jpg"))


def looked(pace: DownloadPace) -> int:
    threads = pace.threads_for(pace.slot)
    assert threads is not None
    return threads()


def test_servers_that_have_not_answered_yet_count_with_the_time_since_they_were_asked():
    clock = Clock()
    pace = DownloadPace(64, clock=clock)
    record(pace, 0.02, "near")
    with ExitStack() as asking:
        asked(pace, asking, "far", 8)
        clock.now += SILENT / 2
        assert looked(pace) == START
        clock.now += SILENT / 2
        assert looked(pace) == 29  # (16 * 0.02 + 8 * 0.25) / 24 * 300
        clock.now += 0.25
        assert (looked(pace), held(pace)) == (54, 54)


def test_a_few_requests_without_an_answer_do_not_raise_the_number():
    clock = Clock()
    pace = DownloadPace(64, clock=clock)
    record(pace, 0.01, "near", 10 * SAMPLES)
    with ExitStack() as asking:
        asked(pace, asking, "hanging", 2)
        clock.now += 30
        assert looked(pace) == START


def test_a_server_whose_answers_are_errors_has_answered():
    clock = Clock()
    pace = DownloadPace(64, clock=clock)
    with suppress(Stopped), pace.asking("http://h/missing.jpg"):
        raise Stopped
    with ExitStack() as asking:
        asked(pace, asking, "h", 16)
        clock.now += 30
        assert looked(pace) == START
