"""How the rate at which a host is asked falls and rises."""

import pytest

from imgrelay_dagster.relay.fetch.host_rate import RateState


def refused(pause: float, sustained: float = 0.0) -> RateState:
    """A host that refused at a rate of 14 per second."""
    state = RateState(rate=14.0, good=10.0, bad=15.0)
    state.lower(100.0, answered=14.0, pause=pause, sustained=sustained)
    return state


def rates(state: RateState, seconds: int) -> list[float]:
    """The rates of the seconds that follow a pause, while nothing is refused."""
    found = []
    for second in range(seconds):
        state.raise_if_due(state.paused_until + 1.0 + second * 1.01)
        found.append(state.rate or float("inf"))
    return found


@pytest.mark.parametrize(("sustained", "bound"), [(9.0, 10.5), (10.0, 11.0), (14.0, 14.0)])
def test_where_a_refusal_costs_a_pause_the_bound_is_what_the_host_has_borne_for_seconds(sustained: float, bound: float):
    state = refused(2.0, sustained)
    assert state.bad == pytest.approx(bound)
    assert state.rate is not None
    assert state.rate < bound


def test_where_a_refusal_costs_nothing_the_bound_is_the_rate_that_was_refused():
    assert refused(0.0, 9.0).bad == 14.0


def test_the_rate_rises_more_slowly_where_a_refusal_costs_a_pause():
    cheap, costly = rates(refused(0.0, 10.0), 30), rates(refused(2.0, 10.0), 30)
    assert sorted(cheap) == cheap
    assert sorted(costly) == costly
    assert costly[-1] / costly[5] < cheap[-1] / cheap[5] / 2


def test_the_first_guesses_of_two_processes_are_added():
    first, second = RateState(), RateState()
    first.lower(100.0, answered=2.0, pause=0.0, process="first")
    first.lower(100.2, answered=6.0, pause=0.0, process="first")  # answers that were on their way
    second.lower(100.4, answered=3.0, pause=0.0, process="second")
    merged = first.merge(second)
    assert merged.rate == 9.0
    assert second.merge(merged).rate == merged.merge(second).rate == 9.0
