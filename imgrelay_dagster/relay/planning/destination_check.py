"""Checking that a destination accepts objects, and how it deviates from S3, before a run downloads anything."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.layout import probe_key, receipts_prefix
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.addresses import is_s3
from imgrelay_dagster.relay.storage.bucket_region import bucket_region
from imgrelay_dagster.relay.storage.error_hints import (
    CHECK_ACCESS,
    CHECK_LISTING,
    IMAGE_ADVICE,
    advice,
    is_checksum_refused,
    listing_advice,
)
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.objects import clear_unfinished, create_object, delete_objects, put_object
from imgrelay_dagster.relay.storage.store_options import StoreOptions

_CONTENT = b"imgrelay"


@dataclass(frozen=True, slots=True)
class DestinationFeatures:
    """What a destination supports.

    Attributes:
        options: how to open the destination from now on.
        conditional_writes: whether a write that must not replace an object is refused if there is one. The dataset's
            lock rests on it.
        notices: a sentence for each feature that is missing.
    """

    options: StoreOptions
    conditional_writes: bool = True
    notices: tuple[str, ...] = ()


def check_destination(
    open_destination: Callable[[StoreOptions], ObjectStore], settings: Settings, run_id: str
) -> DestinationFeatures:
    """Write and delete a small object and list the receipts, so that a wrong bucket fails the run at once.

    A second object is written as images are, if the run config says what is stored with them.

    Raises:
        RelayError: the destination does not accept objects, or cannot be listed. It says what to do.
    """
    # The name is new in each attempt: an earlier one may have been killed before it deleted its object.
    key = f"{probe_key(settings.dataset, run_id)}-{uuid4().hex[:8]}"
    options, notices = settings.store, []
    store = open_destination(options)
    clear_unfinished(store)
    try:
        try:
            put_object(store, key, _CONTENT, "text/plain")
        except (BaseError, OSError) as error:
            if not isinstance(store, S3Store) or not options.checksums or not is_checksum_refused(error):
                raise
            options = replace(options, checksums=False)
            store = _open_without_checksums(open_destination, options, key, error)
            notices.append(
                "the destination refuses checksums, so a body that is damaged on its way is not noticed "
                "(AWS_REQUEST_CHECKSUM_CALCULATION=when_required leaves them out without asking)"
            )
        conditional = isinstance(store, LocalStore) or _refuses_replacement(store, key)
        delete_objects(store, [key])
    except (BaseError, OSError) as error:
        hint = advice(error, lambda: _region(store)) if is_s3(settings.destination) else CHECK_ACCESS
        raise RelayError(
            f"destination {settings.destination!r} does not take objects: {explain(error)}; {hint}"
        ) from error
    _check_listing(store, settings)
    _check_image(store, settings, key)
    if not conditional:
        notices.append(
            "the destination ignores conditional writes, so the dataset's lock is weaker: two runs that start within "
            "the same seconds may both relay it"
        )
    return DestinationFeatures(options, conditional, tuple(notices))


def _check_listing(store: ObjectStore, settings: Settings) -> None:
    """List the first receipts. A store without listings answers 501 for ever, which obstore takes for an outage.

    Raises:
        RelayError: the destination cannot be listed. It says what to do.
    """
    try:
        next(iter(store.list(receipts_prefix(settings.dataset))), None)
    except (BaseError, OSError) as error:
        hint = listing_advice(error) if is_s3(settings.destination) else CHECK_LISTING
        raise RelayError(
            f"destination {settings.destination!r} takes objects but cannot be listed: {explain(error)}; {hint}"
        ) from error


def _check_image(store: ObjectStore, settings: Settings, key: str) -> None:
    """Write and delete an object with the storage class, headers, metadata and tags that every image gets.

    Not with an ACL that makes images public: no object below `_relay` ever gets one.

    Raises:
        RelayError: the destination refuses it. It says what to do.
    """
    headers, tags = settings.object.constants()
    if not headers and not tags:
        return
    try:
        put_object(store, key, _CONTENT, "text/plain", headers=headers, tags=tags)
        delete_objects(store, [key])
    except (BaseError, OSError) as error:
        raise RelayError(
            f"destination {settings.destination!r} takes objects, but none with what the run config stores with each "
            f"image (object: {', '.join(settings.object.given())}): {explain(error)}; {IMAGE_ADVICE}"
        ) from error


def _open_without_checksums(
    open_destination: Callable[[StoreOptions], ObjectStore], options: StoreOptions, key: str, refused: BaseException
) -> ObjectStore:
    """Open the destination without checksums if it then takes the object.

    Raises:
        BaseError, OSError: `refused`, the error with checksums, if it does not.
    """
    store = open_destination(options)
    try:
        put_object(store, key, _CONTENT, "text/plain")
    except (BaseError, OSError):
        raise refused from None
    return store


def _refuses_replacement(store: ObjectStore, key: str) -> bool:
    """Whether the store refuses to create an object that exists."""
    try:
        create_object(store, key, _CONTENT)
    except AlreadyExistsError:
        return True
    except (BaseError, OSError):  # it does not know the header
        return False
    return False


def _region(store: ObjectStore) -> str | None:
    if not isinstance(store, S3Store):
        return None
    endpoint = dict(store.config).get("endpoint_url_s3")
    return bucket_region(None if endpoint is None else str(endpoint), store.config["bucket"])
