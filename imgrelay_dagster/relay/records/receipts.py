"""Receipts: the records of entries that are done, in the destination, from which everything is told afterwards.

A receipt is a record with its outcome, one JSON object a line. Each writer (one step of one run) puts its own
objects, `_relay/<dataset>/receipts/<run_id>/<writer>-<n>.jsonl`, so that parallel writers never share one. They
are put every few seconds: what a `kill -9` can lose is what was done since. Results, summaries and the next
run's knowledge of what is left are all folded from these objects.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.layout import MERGED
from imgrelay_dagster.relay.storage.stores import delete_objects, put_object

if TYPE_CHECKING:
    from obstore import ObjectMeta

RECEIPTS_TYPE = "application/x-ndjson"

PIECE = 1024 * 1024
"""Bytes of receipts held in memory at once."""


record_json = TypeAdapter(Record)
"""Records to and from JSON, fields in the order of `results.jsonl`."""


def read_receipts(store: ObjectStore, prefix: str) -> Iterator[Record]:
    """Every receipt below `prefix`, object by object, in no particular order; one may come twice.

    A line that cannot be read (cut off by a lost machine) is passed over: its entry counts as not done.
    """
    moved = set()
    for chunk in store.list(prefix):
        for meta in chunk:
            if not meta["path"].endswith(".jsonl"):
                continue
            try:
                yield from _records(store, meta)
            except FileNotFoundError:  # its run was completed since it was listed
                moved.add(meta["path"].rpartition("/")[0])
    for run in sorted(moved):
        with suppress(FileNotFoundError):
            yield from _records(store, store.head(f"{run}/{MERGED}"))


def _records(store: ObjectStore, meta: "ObjectMeta") -> Iterator[Record]:
    rest = b""
    for piece in pieces(store, meta):
        *lines, rest = (rest + piece).split(b"\n")
        yield from _sound(lines)
    yield from _sound([rest])


def _sound(lines: Iterable[bytes]) -> Iterator[Record]:
    for line in lines:
        with suppress(ValidationError):
            yield record_json.validate_json(line)


def pieces(store: ObjectStore, meta: "ObjectMeta") -> Iterator[bytes]:
    """An object in pieces: a run's merged receipts may weigh many megabytes."""
    for start in range(0, meta["size"], PIECE):
        yield bytes(store.get_range(meta["path"], start=start, end=min(start + PIECE, meta["size"])))


def merge_receipts(store: ObjectStore, prefix: str, scratch: Path) -> None:
    """Put one run's receipts together in one object, so that the next run has little to fetch.

    Killed half-way it leaves receipts twice, which says nothing else.
    """
    found = [meta for chunk in store.list(prefix) for meta in chunk if meta["path"].endswith(".jsonl")]
    if len(found) < 2:
        return
    merged = scratch / "receipts.jsonl"
    with merged.open("wb") as lines:
        for meta in found:
            piece = b""
            for piece in pieces(store, meta):
                lines.write(piece)
            if not piece.endswith(b"\n"):  # cut off by a lost machine
                lines.write(b"\n")
    put_object(store, f"{prefix}/{MERGED}", merged, RECEIPTS_TYPE)
    delete_objects(store, [meta["path"] for meta in found if meta["path"] != f"{prefix}/{MERGED}"])
