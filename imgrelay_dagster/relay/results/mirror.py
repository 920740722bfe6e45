"""Comparing a destination with what its records say: which images are missing, and which nobody wants any more."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.open_keys import opened
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.records.dataset_lock import acquire_lock, release_lock
from imgrelay_dagster.relay.records.dataset_names import stored_datasets
from imgrelay_dagster.relay.records.key_index import remove_keys
from imgrelay_dagster.relay.records.layout import receipts_key, receipts_prefix, run_receipts_prefix
from imgrelay_dagster.relay.records.receipts import RECEIPTS_TYPE, read_receipts, record_json
from imgrelay_dagster.relay.results.history import result_lines
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.listing import ListedObject, file_size, object_sizes
from imgrelay_dagster.relay.storage.objects import delete_objects, put_object
from imgrelay_dagster.relay.storage.stores import folder_of

BATCH = 1_000
"""Images that are deleted between two looks at the lock."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An image that differs from its receipt.

    Attributes:
        problem: `missing`, `size` or `sha256`.
        expected, found: bytes, or a digest; None where there is no object.
    """

    key: str
    problem: str
    expected: int | str | None
    found: int | str | None


def stored_images(store: ObjectStore, dataset: str) -> dict[str, Record]:
    """The newest receipt of each image that the dataset stored, by key. Images that were pruned are not among them.

    Raises:
        RelayError: the destination cannot be read.
    """
    newest: dict[str, Record] = {}
    try:
        for record in read_receipts(store, receipts_prefix(dataset)):
            if record.key is None or record.outcome is Outcome.FAILED:
                continue
            known = newest.get(record.key)
            if known is None or (record.at or 0.0) >= (known.at or 0.0):
                newest[record.key] = _brief(record)
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    return {key: record for key, record in newest.items() if record.outcome is not Outcome.NOT_ATTEMPTED}


def _brief(record: Record) -> Record:
    """The fields of a receipt that a comparison needs; hundreds of thousands are held in memory."""
    return Record(
        record.line,
        "",
        key=record.key,
        outcome=record.outcome,
        bytes_out=record.bytes_out,
        sha256=record.sha256,
        fingerprint=record.fingerprint,
        at=record.at,
    )


def find_mismatches(
    store: ObjectStore,
    images: dict[str, Record],
    list_any: Callable[[], Iterator[ListedObject]] | None = None,
    *,
    read: bool = False,
) -> Iterator[Mismatch]:
    """Yield the images that are missing or have another size, in the order of their keys.

    Args:
        images: receipts by key, of `stored_images`.
        list_any: lists a destination whose keys obstore rejects.
        read: also read each image, and compare its SHA-256.

    Raises:
        RelayError: the destination cannot be read.
    """
    folder = folder_of(store)
    try:
        if folder is None:
            sizes = {key: size for key, size in object_sizes(store, list_any) if key in images}
        else:
            sizes = {key: size for key in images if (size := file_size(folder, key)) is not None}
        for key, record in sorted(images.items()):
            if key not in sizes:
                yield Mismatch(key, "missing", record.bytes_out, None)
            elif sizes[key] != record.bytes_out:
                yield Mismatch(key, "size", record.bytes_out, sizes[key])
            elif read:
                digest = hashlib.sha256(store.get(key).bytes()).hexdigest()
                if digest != record.sha256:
                    yield Mismatch(key, "sha256", record.sha256, digest)
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error


def keys_in_results(store: ObjectStore, dataset: str, run_id: str) -> set[str]:
    """The keys of all lines of a run, whatever their outcome. Some may be open (`open_keys.py`)."""
    records = (record_json.validate_json(line) for line in result_lines(store, dataset, run_id))
    return {record.key for record in records if record.key is not None}


def find_leftovers(store: ObjectStore, dataset: str, run_id: str) -> tuple[list[str], int]:
    """The images that the dataset stored and whose lines are no longer in the manifest of this run.

    Returns:
        Their keys, sorted, and the number of further such images, which another dataset stored too and which therefore
        stay.

    Raises:
        RelayError: the destination cannot be read.
    """
    kept = keys_in_results(store, dataset, run_id)
    left = {key for key in stored_images(store, dataset) if key not in kept and opened(key) not in kept}
    shared: set[str] = set()
    for other in stored_datasets(store):
        if other != dataset and left > shared:
            shared |= left & set(stored_images(store, other))
    return sorted(left - shared), len(shared)


def prune(store: ObjectStore, dataset: str, keys: list[str]) -> None:
    """Delete images of a dataset, while no run works on it.

    That they are gone is recorded first: a run that is launched later relays them again if their lines are back.

    Raises:
        RelayError: a run works on the dataset, or the destination failed.
    """
    with _locked(store, dataset) as name:
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            try:
                _record_deletion(store, dataset, name, start, batch)
                remove_keys(store, dataset, batch)
                delete_objects(store, batch)
            except (BaseError, OSError) as error:
                raise RelayError(f"images cannot be deleted: {explain(error)}") from error


@contextmanager
def _locked(store: ObjectStore, dataset: str) -> Iterator[str]:
    """Hold the dataset's lock under a name that no run has."""
    name = f"prune-{uuid4()}"
    acquire_lock(store, dataset, name, is_over=lambda _: False)
    try:
        yield name
    finally:
        release_lock(store, dataset, name)


def _record_deletion(store: ObjectStore, dataset: str, name: str, part: int, keys: Iterable[str]) -> None:
    bare = Record(0, "", outcome=Outcome.NOT_ATTEMPTED, at=time.time())
    lines = b"".join(record_json.dump_json(replace(bare, key=key)) + b"\n" for key in keys)
    put_object(store, receipts_key(run_receipts_prefix(dataset, name), name, part), lines, RECEIPTS_TYPE)
