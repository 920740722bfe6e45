"""The time of a store: the one clock that all hosts of a run, and all runs of a dataset, share."""

from obstore.store import ObjectStore

from imgrelay_dagster.relay.storage.objects import delete_objects, put_object


def store_time(store: ObjectStore, key: str) -> float:
    """What time it is by the store's clock, in seconds since the epoch: that at which it stored a small object.

    S3 gives whole seconds. In a folder the time is that of the host that has the disk.

    Args:
        key: of the object, which is deleted again. No other process may use it.

    Raises:
        obstore.exceptions.BaseError, OSError: the store failed.
    """
    put_object(store, key, b"now", "text/plain")
    try:
        return store.head(key)["last_modified"].timestamp()
    finally:
        delete_objects(store, [key])
