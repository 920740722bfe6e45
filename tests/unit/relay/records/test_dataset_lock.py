"""The lock of a dataset: one run at a time."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from obstore.exceptions import GenericError
from obstore.store import LocalStore, MemoryStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.dataset_lock import (
    SILENCE_LIMIT,
    acquire_lock,
    lock_holder,
    refresh_lock,
    release_lock,
)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def acquire(store: LocalStore, run_id: str, over: bool = False) -> None:
    acquire_lock(store, "birds", run_id, is_over=lambda _: over)


def age_lock(store: LocalStore, seconds: float) -> None:
    """Let the lock be older, by the store's clock."""
    file = Path(str(store.prefix)) / "_relay/birds/receipts/lock.json"
    os.utime(file, (file.stat().st_mtime - seconds,) * 2)


def test_a_second_run_fails_and_names_the_first(store: LocalStore):
    acquire(store, "first")
    with pytest.raises(
        RelayError, match=r"'birds' is being relayed by run first \(last heard of at \d\d:\d\d:\d\d UTC"
    ):
        acquire(store, "second")
    assert lock_holder(store, "birds").run_id == "first"


def test_each_dataset_has_its_own_lock(store: LocalStore):
    acquire(store, "first")
    acquire_lock(store, "cats", "second", is_over=lambda _: False)
    assert lock_holder(store, "cats").run_id == "second"


def test_only_the_holder_releases_its_lock(store: LocalStore):
    acquire(store, "first")
    release_lock(store, "birds", "second")
    assert lock_holder(store, "birds").run_id == "first"
    release_lock(store, "birds", "first")
    acquire(store, "second")
    assert lock_holder(store, "birds").run_id == "second"


def test_the_lock_of_a_run_that_has_ended_is_taken_over(store: LocalStore):
    acquire(store, "first")
    acquire(store, "second", over=True)
    assert lock_holder(store, "birds").run_id == "second"


def test_a_lock_is_taken_over_after_the_silence_limit_unless_refreshed(store: LocalStore):
    acquire(store, "first")
    age_lock(store, SILENCE_LIMIT + 1)
    refresh_lock(store, "birds", "first")
    age_lock(store, SILENCE_LIMIT - 10)
    with pytest.raises(RelayError):
        acquire(store, "second")
    age_lock(store, 11)
    acquire(store, "second")
    assert lock_holder(store, "birds").run_id == "second"


def test_a_refresh_does_not_take_back_a_lost_lock(store: LocalStore):
    acquire(store, "first")
    age_lock(store, SILENCE_LIMIT + 1)
    acquire(store, "second")
    refresh_lock(store, "birds", "first")
    assert lock_holder(store, "birds").run_id == "second"


def test_a_refresh_after_the_release_does_not_recreate_the_lock(store: LocalStore):
    acquire(store, "first")
    release_lock(store, "birds", "first")
    refresh_lock(store, "birds", "first")
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

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


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


def test_a_retried_step_keeps_the_lock_of_its_run(store: LocalStore):
    acquire(store, "first")
    acquire(store, "first")
    assert lock_holder(store, "birds").run_id == "first"


def test_a_damaged_lock_is_taken_over(store: LocalStore):
    store.put("_relay/birds/receipts/lock.json", b"\x00 half a lock")
    acquire(store, "second")
    assert lock_holder(store, "birds").run_id == "second"


@pytest.mark.parametrize("ahead", [-1200, 360, 1200])
def test_the_clock_of_a_host_does_not_matter(store: LocalStore, monkeypatch: pytest.MonkeyPatch, ahead: float):
    acquire(store, "first")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead)
    with pytest.raises(RelayError, match="run first"):
        acquire(store, "second")
    refresh_lock(store, "birds", "first")
    monkeypatch.undo()
    with pytest.raises(RelayError, match="run first"):
        acquire(store, "second")
    age_lock(store, SILENCE_LIMIT + 1)
    acquire(store, "second")
