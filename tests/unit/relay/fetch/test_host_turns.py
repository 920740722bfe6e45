"""The pace of a host: what it says about itself slows it down, over all processes that share a board."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.host_rate import RateState
from imgrelay_dagster.relay.fetch.host_turns import CROWDED, DOWN_AFTER, HostTurns
from imgrelay_dagster.relay.outcomes import Reason

REFUSED = 429


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class SharedBoard:
    """A board in memory, for several `HostTurns` that stand for processes."""

    window = 0.1

    def __init__(self) -> None:
        self.claims: set[tuple[str, int]] = set()
        self.states: dict[str, RateState] = {}

    def claim(self, host: str, number: int) -> bool:
        if (host, number) in self.claims:
            return False
        self.claims.add((host, number))
        return True

    def publish(self, host: str, state: RateState) -> None:
        self.states[host] = replace(state)

    def read(self) -> dict[str, RateState]:
        return dict(self.states)


def refusal(status: int = REFUSED, retry_after: float | None = None) -> EntryFailure:
    return EntryFailure(Reason.HTTP_STATUS, "no", http_status=status, transient=True, retry_after=retry_after)


def granted(processes: list[HostTurns], clock: Clock, seconds: float, answer: Callable[[], bool] = lambda: True) -> int:
    """Let the processes ask a host as often as they may; return the number of requests that it answered."""
    answered, end, number = 0, clock.now + seconds, 0
    while clock.now < end:
        for process in processes:
            while clock.now < end and process.wait_for("h") == 0:
                number += 1
                if answer():
                    process.answered("h", str(number))
                    answered += 1
                else:
                    process.failed("h", str(number), refusal())
                clock.now += 0.0002
        clock.now += 0.002
    return answered


@pytest.mark.parametrize("processes", [1, 2, 5])
@pytest.mark.parametrize("rate", [2.0, 50.0, 400.0])
def test_a_rate_means_all_processes_together(processes: int, rate: float) -> None:
    clock, board = Clock(), SharedBoard()
    each = [HostTurns(board, lambda _: rate, clock=clock) for _ in range(processes)]
    assert 0.93 * rate * 20 <= granted(each, clock, 20) <= 1.03 * rate * 20 + 1


@pytest.mark.parametrize(("bears", "burst"), [(10.0, 10.0), (10.0, 1.0), (50.0, 50.0), (3.0, 5.0)])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_host_is_asked_as_often_as_it_bears(bears: float, burst: float, processes: int) -> None:
    clock, board = Clock(), SharedBoard()
    state = {"tokens": burst, "at": clock.now, "refused": 0.0}

    def answer() -> bool:
        state["tokens"] = min(burst, state["tokens"] + (clock.now - state["at"]) * bears)
        state["at"] = clock.now
        if state["tokens"] < 1:
            state["refused"] += 1
            return False
        state["tokens"] -= 1
        return True

    answered = granted([HostTurns(board, clock=clock) for _ in range(processes)], clock, 30, answer)
    assert answered >= 0.65 * bears * 30
    assert state["refused"] <= 2 * answered


def test_a_pause_that_a_host_asks_for_holds_for_all_processes_and_ends() -> None:
    clock, board = Clock(), SharedBoard()
    one, other = (HostTurns(board, clock=clock, longest_pause=30.0) for _ in range(2))
    one.answered("h", "first")
    for number in range(CROWDED):
        excused = one.failed("h", str(number), refusal(retry_after=5.0))
    assert excused, "the host refuses everybody, so it is not the entry's fault"
    assert one.wait_for("h") == pytest.approx(5.0)
    assert other.wait_for("h") == pytest.approx(5.0)
    assert other.wait_for("elsewhere") == 0
    clock.now += 5.01
    assert granted([one, other], clock, 3) >= 2


def test_a_single_entry_that_is_refused_slows_nothing_down() -> None:
    turns = HostTurns(clock=Clock())
    for _ in range(10):
        assert not turns.failed("h", "the same", refusal())
        turns.answered("h", "another")
    assert turns.wait_for("h") == 0


def test_no_refusal_of_a_host_that_is_known_to_have_a_limit_is_an_attempt() -> None:
    turns = HostTurns(clock=Clock())
    for number in range(40):
        turns.answered("h", str(number))
        turns.failed("h", f"refused {number}", refusal())
    for number in range(40):
        turns.answered("h", str(number))
    assert turns.failed("h", "one more", refusal())
    assert not turns.failed("h", "missing", refusal(404))


def test_a_refusal_is_no_attempt_as_soon_as_another_process_knows_of_the_limit() -> None:
    clock, board = Clock(), SharedBoard()
    one, other = (HostTurns(board, clock=clock) for _ in range(2))
    assert other.wait_for("h") == 0  # it has read the board, and would not do so again within a second
    one.answered("h", "first")
    for number in range(CROWDED):
        one.failed("h", str(number), refusal())
    clock.now += 0.2
    assert other.failed("h", "one of a few", refusal())


def test_a_host_that_refuses_everything_uses_up_attempts() -> None:
    clock = Clock()
    turns = HostTurns(clock=clock)
    assert not any(turns.failed("h", str(number), refusal()) for number in range(50))


def test_a_host_that_only_refuses_for_a_minute_counts_as_down() -> None:
    clock = Clock()
    turns = HostTurns(clock=clock)
    for number in range(CROWDED + 58):
        assert turns.down("h") is None
        turns.failed("h", str(number), refusal(503))
        clock.now += 1.05
    failure = turns.down("h")
    assert failure is not None
    assert failure.reason is Reason.HTTP_STATUS


def test_a_host_that_nobody_answers_at_is_down_until_it_answers_or_gets_another_chance() -> None:
    clock, board = Clock(), SharedBoard()
    one, other = (HostTurns(board, clock=clock) for _ in range(2))
    silence = EntryFailure(Reason.TIMEOUT, "no connection to h within 5 s", transient=True, unreachable=True)
    for _ in range(5):
        one.failed("h", "the same", silence)
    assert one.down("h") is None
    for number in range(DOWN_AFTER):
        one.failed("h", str(number), silence)
    for process in (one, other):
        failure = process.down("h")
        assert failure is not None
        assert (failure.reason, "no connection to h" in failure.detail) == (Reason.TIMEOUT, True)
    clock.now += 1
    other.try_down_hosts_again()
    assert other.down("h") is None
    one.answered("h", "it is back")
    assert one.down("h") is None


@pytest.mark.parametrize("status", [420, 429, 503, 509])
def test_statuses_that_say_that_there_are_too_many_requests(status: int) -> None:
    turns = HostTurns(clock=Clock())
    turns.answered("h", "first")
    assert [turns.failed("h", str(number), refusal(status)) for number in range(CROWDED)][-1]
