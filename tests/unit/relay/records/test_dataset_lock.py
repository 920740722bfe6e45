"""The lock of a dataset: one run at a time."""

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


def acquire_at(store: MemoryStore, run_id: str, now: float, over: bool = False) -> None:
    acquire_lock(store, "birds", run_id, is_over=lambda _: over, clock=lambda: now)


def test_a_second_run_fails_and_names_the_first(store: MemoryStore):
    acquire_at(store, "first", 1000.0)
    with pytest.raises(RelayError, match=r"dataset 'birds' is being relayed by run first \(last heard of at 00:16:40"):
        acquire_at(store, "second", 1010.0)
    assert lock_holder(store, "birds").run_id == "first"


def test_each_dataset_has_its_own_lock(store: MemoryStore):
    acquire_at(store, "first", 1000.0)
    acquire_lock(store, "cats", "second", is_over=lambda _: False)
    assert lock_holder(store, "cats").run_id == "second"


def test_only_the_holder_releases_its_lock(store: MemoryStore):
    acquire_at(store, "first", 1000.0)
    release_lock(store, "birds", "second")
    assert lock_holder(store, "birds").run_id == "first"
    release_lock(store, "birds", "first")
    acquire_at(store, "second", 1001.0)
    assert lock_holder(store, "birds").run_id == "second"


def test_the_lock_of_a_run_that_has_ended_is_taken_over(store: MemoryStore):
    acquire_at(store, "first", 1000.0)
    acquire_at(store, "second", 1001.0, over=True)
    assert lock_holder(store, "birds").run_id == "second"


def test_a_lock_is_taken_over_after_the_silence_limit_unless_refreshed(store: MemoryStore):
    acquire_at(store, "first", 1000.0)
    refresh_lock(store, "birds", "first", clock=lambda: 1100.0)
    with pytest.raises(RelayError):
        acquire_at(store, "second", 1000.0 + SILENCE_LIMIT + 1)
    acquire_at(store, "second", 1100.0 + SILENCE_LIMIT + 1)
    assert lock_holder(store, "birds").run_id == "second"


def test_a_refresh_does_not_take_back_a_lost_lock(store: MemoryStore):
    acquire_at(store, "first", 1000.0)
    acquire_at(store, "second", 1001.0 + SILENCE_LIMIT)
    refresh_lock(store, "birds", "first", clock=lambda: 1002.0 + SILENCE_LIMIT)
    assert lock_holder(store, "birds").run_id == "second"


def test_a_refresh_after_the_release_does_not_recreate_the_lock(store: MemoryStore):
    acquire_at(store, "first", 1000.0)
    release_lock(store, "birds", "first")
    refresh_lock(store, "birds", "first", clock=lambda: 1001.0)
    assert lock_holder(store, "birds") is None


class UnreliableStore:
    """A store that breaks the connection of its first create requests, before or after it created the object."""

    def __init__(self, failures: int, *, created: bool) -> None:
        self.inner = MemoryStore()
        self._failures, self._created = failures, created

    def put(self, key: str, data: bytes, **options: object) -> None:
        if options.get("mode") == "create" and self._failures:
            self._failures -= 1
            if self._created:
                self.inner.put(key, data, mode="create")
            raise GenericError("HTTP error: error sending request")
        self.inner.put(key, data, **{name: value for name, value in options.items() if name == "mode"})

    def get(self, key: str) -> object:
        return self.inner.get(key)


@pytest.mark.parametrize("created", [False, True], ids=["request lost", "response lost"])
def test_a_create_request_without_a_response_is_repeated(created: bool):
    store, pauses = UnreliableStore(1, created=created), []
    acquire_lock(store, "birds", "first", is_over=lambda _: False, pause=pauses.append)
    assert lock_holder(store.inner, "birds").run_id == "first"
    assert len(pauses) == 1
    with pytest.raises(RelayError, match="run first"):
        acquire_lock(store, "birds", "second", is_over=lambda _: False)


def test_a_store_that_never_responds_cannot_be_locked():
    pauses: list[float] = []
    with pytest.raises(RelayError, match="dataset 'birds' cannot be locked"):
        acquire_lock(UnreliableStore(99, created=False), "birds", "first", is_over=lambda _: False, pause=pauses.append)
    assert pauses == sorted(pauses)
    assert 1 < sum(pauses) < 15


def test_a_retried_step_keeps_the_lock_of_its_run(store: MemoryStore):
    acquire_at(store, "first", 1000.0)
    acquire_at(store, "first", 1001.0)
    assert lock_holder(store, "birds").run_id == "first"


def test_a_damaged_lock_is_taken_over(store: MemoryStore):
    store.put("_relay/birds/receipts/lock.json", b"\x00 half a lock")
    acquire_at(store, "second", 1000.0)
    assert lock_holder(store, "birds").run_id == "second"
