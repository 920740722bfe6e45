"""Receipts: the records of finished entries, in the destination.

A receipt is a record with its outcome, one JSON object a line. Each writer (one step of one run) writes its own
objects (`layout.receipts_key`), so that parallel writers never write the same object. Receipts are written every few
seconds: a `kill -9` can only lose those of the last seconds. Results and summaries are made from these objects, and
the next run finds out from them what is left to do.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.outcomes import Record, changed
from imgrelay_dagster.relay.records.layout import MERGED_RECEIPTS_SUFFIX, RECEIPTS_SUFFIX, merged_receipts_key
from imgrelay_dagster.relay.storage.objects import delete_objects, put_object
from imgrelay_dagster.relay.storage.reading import read_chunks

if TYPE_CHECKING:
    from obstore import ObjectMeta

RECEIPTS_TYPE = "application/x-ndjson"
"""Content type of receipts and of the other JSON lines files."""

_HELD = 1 << 20
"""Bytes of an object whose receipts may be in memory together. Larger objects are read twice."""

record_json = TypeAdapter(Record)
"""Converts records to and from JSON, with the fields in the order of `results.jsonl`."""


def read_receipts(store: ObjectStore, prefix: str) -> Iterator[Record]:
    """Every receipt below `prefix`, object by object, in no particular order. A receipt may be returned twice.

    Their times (`at`) are by the store's clock: the last receipt of an object has the time at which the store received
    the object, and the others are as far from it as their writer says. So receipts of hosts whose clocks differ are in
    the order in which they were written. Many stores tell whole seconds only: then the last receipt keeps its
    writer's time if that lies in the second in which the store received the object.

    A line that cannot be parsed, such as one cut off by a loss of power, is skipped: its entry counts as not done.
    """
    return read_listed(store, list_receipts(store, prefix))


def list_receipts(store: ObjectStore, prefix: str) -> "list[ObjectMeta]":
    """The objects below `prefix` that hold receipts, merged or not."""
    return [meta for chunk in store.list(prefix) for meta in chunk if meta["path"].endswith(RECEIPTS_SUFFIX)]


def read_listed(store: ObjectStore, listed: "list[ObjectMeta]") -> Iterator[Record]:
    """The receipts in these objects, as `read_receipts` returns them."""
    merged = set()
    for meta in listed:
        try:
            yield from _records(store, meta)
        except FileNotFoundError:  # its run's receipts were merged after the listing
            merged.add(meta["path"].rpartition("/")[0])
    for run_prefix in sorted(merged):
        with suppress(FileNotFoundError):
            yield from _records(store, store.head(merged_receipts_key(run_prefix)))


def _records(store: ObjectStore, meta: "ObjectMeta") -> Iterator[Record]:
    """The receipts of an object, with the times by the store's clock."""
    received = meta["last_modified"].timestamp()
    latest = received if received % 1 else received + 1  # it may have been received at any time of that second
    records: Iterable[Record] = _parsed_records(store, meta)
    ahead = 0.0
    if not meta["path"].endswith(MERGED_RECEIPTS_SUFFIX):  # otherwise the times were corrected when they were merged
        if is_small := meta["size"] <= _HELD:
            records = list(records)
        times = (record.at for record in records if record.at is not None)
        last = max(times, default=received)
        ahead = last - min(max(last, received), latest)
        records = records if is_small else _parsed_records(store, meta)
    for record in records:
        yield record if record.at is None else changed(record, at=min(record.at - ahead, latest))


def _parsed_records(store: ObjectStore, meta: "ObjectMeta") -> Iterator[Record]:
    rest = b""
    for chunk in read_chunks(store, meta["path"], meta["size"]):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from _valid_records(lines)
    yield from _valid_records([rest])


def _valid_records(lines: Iterable[bytes]) -> Iterator[Record]:
    for line in lines:
        with suppress(ValidationError):
            yield record_json.validate_json(line)


def copy_receipts(receipts: Iterable[Record], file: Path) -> Iterator[tuple[Record, bytes]]:
    """Pass receipts on, each with its JSON, and write them as the lines of `file`, for `merge_receipts`."""
    with file.open("wb") as lines:
        for receipt in receipts:
            line = record_json.dump_json(receipt)
            lines.write(line + b"\n")
            yield receipt, line


def merge_receipts(store: ObjectStore, prefix: str, listed: "list[ObjectMeta]", merged: Path) -> None:
    """Replace one run's receipts by one object, so that the next run sends few requests to read them.

    The merged object also says which receipts the run's results include: those in another object beside it came later.
    If this is interrupted, some receipts are there twice, which does no harm.

    Args:
        prefix: the run's receipts (`layout.run_receipts_prefix`).
        listed: the objects that the run's results were made from (`list_receipts`).
        merged: the receipts in these objects (`copy_receipts`).
    """
    merged_key = merged_receipts_key(prefix)
    single = [meta["path"] for meta in listed if meta["path"] != merged_key]
    if not single:
        return
    put_object(store, merged_key, merged, RECEIPTS_TYPE)
    delete_objects(store, single)
