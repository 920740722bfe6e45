"""One run at a time for each dataset."""

import pytest
from obstore.store import MemoryStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.lock import SILENCE_LIMIT, holder, release, renew, take


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def take_at(store: MemoryStore, run_id: str, now: float, over: bool = False) -> None:
    take(store, "birds", run_id, is_over=lambda _: over, clock=lambda: now)


def test_the_later_run_refuses_and_names_the_earlier_one(store: MemoryStore):
    take_at(store, "first", 1000.0)
    with pytest.raises(RelayError, match=r"dataset 'birds' is being relayed by run first \(last heard of at 00:16:40"):
        take_at(store, "second", 1010.0)
    assert holder(store, "birds").run_id == "first"


def test_another_dataset_is_free(store: MemoryStore):
    take_at(store, "first", 1000.0)
    take(store, "cats", "second", is_over=lambda _: False)
    assert holder(store, "cats").run_id == "second"


def test_a_released_dataset_is_free_and_only_its_holder_releases_it(store: MemoryStore):
    take_at(store, "first", 1000.0)
    release(store, "birds", "second")
    assert holder(store, "birds").run_id == "first"
    release(store, "birds", "first")
    take_at(store, "second", 1001.0)
    assert holder(store, "birds").run_id == "second"


def test_a_run_that_is_known_to_be_over_holds_nothing(store: MemoryStore):
    take_at(store, "first", 1000.0)
    take_at(store, "second", 1001.0, over=True)
    assert holder(store, "birds").run_id == "second"


def test_a_holder_that_fell_silent_is_taken_for_lost_and_a_renewed_one_is_not(store: MemoryStore):
    take_at(store, "first", 1000.0)
    renew(store, "birds", "first", clock=lambda: 1100.0)
    with pytest.raises(RelayError):
        take_at(store, "second", 1000.0 + SILENCE_LIMIT + 1)
    take_at(store, "second", 1100.0 + SILENCE_LIMIT + 1)
    assert holder(store, "birds").run_id == "second"


def test_a_step_that_plans_again_keeps_its_own_lock(store: MemoryStore):
    take_at(store, "first", 1000.0)
    take_at(store, "first", 1001.0)
    assert holder(store, "birds").run_id == "first"


def test_a_lock_that_cannot_be_read_is_taken_over(store: MemoryStore):
    store.put("_relay/birds/receipts/lock.json", b"\x00 half a lock")
    take_at(store, "second", 1000.0)
    assert holder(store, "birds").run_id == "second"
