"""One run at a time for each dataset.

Two runs of one dataset at once would do the same work twice. The run that plans first holds a small object beside the
receipts and renews it while its steps work; a later one refuses, unless the holder is over or has been silent for long.
Nothing is harmed when two runs do slip past each other: receipts are never shared, and objects are stored whole.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.layout import lock_key
from imgrelay_dagster.relay.storage.stores import delete_objects, explain, put_object

REFRESH_INTERVAL = 20.0
"""Seconds between two renewals by one step."""

SILENCE_LIMIT = 300.0
"""Seconds without a renewal after which the holder is taken for lost."""

TRIES = 5
"""How often a lock is tried to be made: what must not be done twice, no client repeats by itself."""


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Which run holds a dataset, and when it last said so (seconds since the epoch)."""

    run_id: str
    at: float


_holder_json = TypeAdapter(LockHolder)


def lock_holder(store: ObjectStore, dataset: str) -> LockHolder | None:
    """Who holds the dataset, if anybody does."""
    try:
        return _holder_json.validate_json(bytes(store.get(lock_key(dataset)).bytes()))
    except (FileNotFoundError, ValidationError):
        return None


class DatasetHeld(RelayError):
    """Another run holds the dataset."""


def acquire_lock(
    store: ObjectStore,
    dataset: str,
    run_id: str,
    *,
    is_over: Callable[[str], bool],
    clock: Callable[[], float] = time.time,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Hold the dataset for this run.

    Args:
        is_over: whether a run is known to have ended.

    Raises:
        DatasetHeld: another run holds it.
        RelayError: the store cannot say.
    """
    key = lock_key(dataset)
    mine = _holder_json.dump_json(LockHolder(run_id, clock()))
    try:
        if _create(store, key, mine, pause):
            return
        held = lock_holder(store, dataset)
        if held is not None and held.run_id != run_id:
            silent = clock() - held.at
            if silent < SILENCE_LIMIT and not is_over(held.run_id):
                since = datetime.fromtimestamp(held.at, UTC).strftime("%H:%M:%S UTC")
                raise DatasetHeld(
                    f"dataset {dataset!r} is being relayed by run {held.run_id} (last heard of at {since}); wait for "
                    "it to end or cancel it, or give this run a dataset of its own"
                )
        put_object(store, key, mine, "application/json")
    except (BaseError, OSError) as error:
        raise RelayError(f"dataset {dataset!r} cannot be locked at {key!r}: {explain(error)}") from error


def _create(store: ObjectStore, key: str, mine: bytes, pause: Callable[[float], None]) -> bool:
    """Make the lock; False when there is one. It may be this run's, made by a request whose answer was lost."""
    for left in reversed(range(TRIES)):
        try:
            store.put(key, mine, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except PermissionDeniedError:
            raise
        except BaseError:
            if not left:
                raise
            pause(0.2 * 2 ** (TRIES - left))
        else:
            return True
    raise AssertionError("the last try returns or raises")


def refresh_lock(store: ObjectStore, dataset: str, run_id: str, clock: Callable[[], float] = time.time) -> None:
    """Say that this run still holds the dataset, if it does. A store that is away is no trouble here."""
    with suppress(BaseError, OSError):
        held = lock_holder(store, dataset)
        if held is None or held.run_id != run_id:  # taken over after a long silence, or let go of
            return
        put_object(store, lock_key(dataset), _holder_json.dump_json(LockHolder(run_id, clock())), "application/json")


def release_lock(store: ObjectStore, dataset: str, run_id: str) -> None:
    """Let go of the dataset, if this run holds it."""
    with suppress(BaseError, OSError):
        held = lock_holder(store, dataset)
        if held is not None and held.run_id == run_id:
            delete_objects(store, [lock_key(dataset)])
