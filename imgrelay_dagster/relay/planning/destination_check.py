"""Checking that a destination accepts objects, before a run downloads anything."""

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.layout import probe_key
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.objects import delete_objects, put_object


def check_destination(store: ObjectStore, settings: Settings, run_id: str) -> None:
    """Write and delete a small object, so that a wrong bucket fails the run at once instead of every entry.

    Raises:
        RelayError: the destination does not accept objects.
    """
    key = probe_key(settings.dataset, run_id)
    try:
        put_object(store, key, b"imgrelay", "text/plain")
        delete_objects(store, [key])
    except (BaseError, OSError) as error:
        raise RelayError(
            f"destination {settings.destination!r} does not take objects: {explain(error)}; check that the bucket "
            "or folder exists, that its credentials allow writing, and AWS_ENDPOINT_URL_S3 for S3-compatible stores"
        ) from error
