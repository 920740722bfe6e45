"""One run at a time for each dataset."""

import pytest
from obstore.exceptions import GenericError
from obstore.store import MemoryStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.dataset_lock import (
    SILENCE_LIMIT,
    acquire_lock,
    lock_holder,
    refresh_lock,
    release_lock,
)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def take_at(store: MemoryStore, run_id: str, now: float, over: bool = False) -> None:
    acquire_lock(store, "birds", run_id, is_over=lambda _: over, clock=lambda: now)


def test_the_later_run_refuses_and_names_the_earlier_one(store: MemoryStore):
    take_at(store, "first", 1000.0)
    with pytest.raises(RelayError, match=r"dataset 'birds' is being relayed by run first \(last heard of at 00:16:40"):
        take_at(store, "second", 1010.0)
    assert lock_holder(store, "birds").run_id == "first"


def test_another_dataset_is_free(store: MemoryStore):
    take_at(store, "first", 1000.0)
    acquire_lock(store, "cats", "second", is_over=lambda _: False)
    assert lock_holder(store, "cats").run_id == "second"


def test_a_released_dataset_is_free_and_only_its_holder_releases_it(store: MemoryStore):
    take_at(store, "first", 1000.0)
    release_lock(store, "birds", "second")
    assert lock_holder(store, "birds").run_id == "first"
    release_lock(store, "birds", "first")
    take_at(store, "second", 1001.0)
    assert lock_holder(store, "birds").run_id == "second"


def test_a_run_that_is_known_to_be_over_holds_nothing(store: MemoryStore):
    take_at(store, "first", 1000.0)
    take_at(store, "second", 1001.0, over=True)
    assert lock_holder(store, "birds").run_id == "second"


def test_a_holder_that_fell_silent_is_taken_for_lost_and_a_renewed_one_is_not(store: MemoryStore):
    take_at(store, "first", 1000.0)
    refresh_lock(store, "birds", "first", clock=lambda: 1100.0)
    with pytest.raises(RelayError):
        take_at(store, "second", 1000.0 + SILENCE_LIMIT + 1)
    take_at(store, "second", 1100.0 + SILENCE_LIMIT + 1)
    assert lock_holder(store, "birds").run_id == "second"


def test_a_run_whose_dataset_was_taken_over_does_not_take_it_back(store: MemoryStore):
    take_at(store, "first", 1000.0)
    take_at(store, "second", 1001.0 + SILENCE_LIMIT)
    refresh_lock(store, "birds", "first", clock=lambda: 1002.0 + SILENCE_LIMIT)
    assert lock_holder(store, "birds").run_id == "second"


def test_a_released_dataset_is_not_held_again_by_a_late_renewal(store: MemoryStore):
    take_at(store, "first", 1000.0)
    release_lock(store, "birds", "first")
    refresh_lock(store, "birds", "first", clock=lambda: 1001.0)
    assert lock_holder(store, "birds") is None


class Unsteady:
    """A store that breaks the connection of its first requests to make an object, before or after it made it."""

    def __init__(self, breaks: int, *, made: bool) -> None:
        self.inner = MemoryStore()
        self._breaks, self._made = breaks, made

    def put(self, key: str, data: bytes, **options: object) -> None:
        if options.get("mode") == "create" and self._breaks:
            self._breaks -= 1
            if self._made:
                self.inner.put(key, data, mode="create")
            raise GenericError("HTTP error: error sending request")
        self.inner.put(key, data, **{name: value for name, value in options.items() if name == "mode"})

    def get(self, key: str) -> object:
        return self.inner.get(key)


@pytest.mark.parametrize("made", [False, True], ids=["request lost", "answer lost"])
def test_a_lock_whose_making_goes_unanswered_is_made_once(made: bool):
    store, pauses = Unsteady(1, made=made), []
    acquire_lock(store, "birds", "first", is_over=lambda _: False, pause=pauses.append)
    assert lock_holder(store.inner, "birds").run_id == "first"
    assert len(pauses) == 1
    with pytest.raises(RelayError, match="run first"):
        acquire_lock(store, "birds", "second", is_over=lambda _: False)


def test_a_store_that_never_answers_cannot_be_locked():
    pauses: list[float] = []
    with pytest.raises(RelayError, match="dataset 'birds' cannot be locked"):
        acquire_lock(Unsteady(99, made=False), "birds", "first", is_over=lambda _: False, pause=pauses.append)
    assert pauses == sorted(pauses)
    assert 1 < sum(pauses) < 15


def test_a_step_that_plans_again_keeps_its_own_lock(store: MemoryStore):
    take_at(store, "first", 1000.0)
    take_at(store, "first", 1001.0)
    assert lock_holder(store, "birds").run_id == "first"


def test_a_lock_that_cannot_be_read_is_taken_over(store: MemoryStore):
    store.put("_relay/birds/receipts/lock.json", b"\x00 half a lock")
    take_at(store, "second", 1000.0)
    assert lock_holder(store, "birds").run_id == "second"
