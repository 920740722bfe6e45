"""One run at a time for each dataset.

Two runs of one dataset at the same time would do the same work twice. The first run writes a lock, a small object
beside the receipts, and refreshes it while its steps work. A later run fails, unless the lock's holder has ended or has
not refreshed it for `SILENCE_LIMIT` seconds. If two runs work at the same time nevertheless, no data is damaged: they
never write the same receipts, and objects are stored completely or not at all.

Creating the lock is a conditional write. Some S3-compatible stores ignore the condition; there the run that wrote the
lock last holds it, which each run finds out by reading the lock again after a pause.

All times are those of the store, because the clocks of two hosts may differ by more than the limit.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.layout import clock_key, lock_key
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.objects import create_object, delete_objects, put_object
from imgrelay_dagster.relay.storage.store_time import store_time

REFRESH_INTERVAL = 20.0
"""Seconds between two refreshes by one step."""

SILENCE_LIMIT = 300.0
"""Seconds without a refresh after which the holder counts as lost."""

SETTLE_PAUSE = 2.0
"""Seconds between writing and reading a lock in a store without conditional writes."""

TRIES = 5
"""Tries to create a lock. The client never retries a conditional PUT by itself."""


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The run that holds a dataset, and when it last refreshed the lock (`at`, seconds since the epoch).

    In the lock itself `at` is by the clock of the run's host; `lock_holder` replaces it by the store's time.
    """

    run_id: str
    at: float


_holder_json = TypeAdapter(LockHolder)


def lock_holder(store: ObjectStore, dataset: str) -> LockHolder | None:
    """The holder of the dataset's lock; None where there is no lock or it is not valid JSON."""
    try:
        found = store.get(lock_key(dataset))
        holder = _holder_json.validate_json(bytes(found.bytes()))
        return replace(holder, at=found.meta["last_modified"].timestamp())
    except (FileNotFoundError, ValidationError):
        return None


def seconds_since_refresh(store: ObjectStore, dataset: str, holder: LockHolder, run_id: str) -> float:
    """For how many seconds the holder has not refreshed the lock, by the store's clock.

    Args:
        run_id: names the object from which the store's time is read.

    Raises:
        obstore.exceptions.BaseError, OSError: the store failed.
    """
    return store_time(store, clock_key(dataset, run_id)) - holder.at


class DatasetHeld(RelayError):
    """Another run holds the dataset."""


def acquire_lock(
    store: ObjectStore,
    dataset: str,
    run_id: str,
    *,
    is_over: Callable[[str], bool],
    conditional_writes: bool = True,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Acquire the dataset's lock for this run.

    Args:
        is_over: whether the run with this id is known to have ended.
        conditional_writes: whether the store refuses to create an object that exists.
        pause: sleeps for this many seconds.

    Raises:
        DatasetHeld: another run holds it.
        RelayError: the store failed.
    """
    key = lock_key(dataset)
    lock = _holder_json.dump_json(LockHolder(run_id, time.time()))
    try:
        if conditional_writes and _create(store, key, lock, pause):
            return
        _check_free(store, dataset, run_id, is_over)
        put_object(store, key, lock, "application/json")
        if not conditional_writes:
            pause(SETTLE_PAUSE)
            _check_free(store, dataset, run_id, is_over)
    except (BaseError, OSError) as error:
        raise RelayError(f"dataset {dataset!r} cannot be locked at {key!r}: {explain(error)}") from error


def _check_free(store: ObjectStore, dataset: str, run_id: str, is_over: Callable[[str], bool]) -> None:
    """Check that no other run holds the dataset.

    Raises:
        DatasetHeld: another run holds it.
    """
    holder = lock_holder(store, dataset)
    if holder is None or holder.run_id == run_id:
        return
    silence = seconds_since_refresh(store, dataset, holder, run_id)
    if silence < SILENCE_LIMIT and not is_over(holder.run_id):
        since = datetime.fromtimestamp(holder.at, UTC).strftime("%H:%M:%S UTC")
        raise DatasetHeld(
            f"dataset {dataset!r} is being relayed by run {holder.run_id} (last heard of at {since}); wait for "
            "it to end or cancel it, or give this run a dataset of its own"
        )


def _create(store: ObjectStore, key: str, lock: bytes, pause: Callable[[float], None]) -> bool:
    """Create the lock; False when there is one.

    The existing lock may be this run's own: the response to the request that created it may have been lost.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            create_object(store, key, lock)
        except AlreadyExistsError:
            return False
        except PermissionDeniedError:
            raise
        except BaseError:
            if not tries_left:
                raise
            pause(0.2 * 2 ** (TRIES - tries_left))
        else:
            return True
    raise AssertionError("the last try returns or raises")


def refresh_lock(store: ObjectStore, dataset: str, run_id: str) -> None:
    """Refresh the lock if this run holds it. Errors of the store are ignored."""
    with suppress(BaseError, OSError):
        holder = lock_holder(store, dataset)
        if holder is None or holder.run_id != run_id:  # released, or taken over by another run after a long silence
            return
        put_object(
            store, lock_key(dataset), _holder_json.dump_json(LockHolder(run_id, time.time())), "application/json"
        )


def release_lock(store: ObjectStore, dataset: str, run_id: str) -> None:
    """Delete the lock if this run holds it. Errors of the store are ignored."""
    with suppress(BaseError, OSError):
        holder = lock_holder(store, dataset)
        if holder is not None and holder.run_id == run_id:
            delete_objects(store, [lock_key(dataset)])
