"""A manifest too large for one run: cut into shard runs, whose results are joined as those of the run that cut it.

The run that finds too much left to do (the coordinator) relays nothing. It leaves its ledger and `plan.json` below
`runs/<its id>/shards/` in the destination. Each shard run relays the lines of that ledger whose key falls to it, so
that lines which claim the same key meet in one shard, and notes there which run's results are its own. After each of
them the coordinator's results are written anew from the ledger and from what shards there are.
"""

import heapq
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Self

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.ledger import Ledger, Planned, read_ledger, shards_ledger_key
from imgrelay_dagster.relay.manifest_rows import BadRow, ManifestRow, Row
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.receipts import pieces, record_json
from imgrelay_dagster.relay.results import store_results, tell
from imgrelay_dagster.relay.settings import Shard
from imgrelay_dagster.relay.stores import explain, put
from imgrelay_dagster.relay.summary import Summary, results_prefix

PARTIAL = "partial"
"""Status of a coordinator some of whose shards have no results yet."""


@dataclass(frozen=True, slots=True)
class Cut:
    """`plan.json`: how many shards a coordinator asks for, and the seconds that it took to plan them."""

    shards: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Part:
    """`<number>.json`: the run whose results are a shard's, how it ended, and its wall time in seconds."""

    run_id: str
    status: str
    seconds: float
    not_attempted: int

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """What to note of the run with this summary."""
        return cls(summary.run_id, summary.status, summary.seconds, summary.not_attempted)


_cut_json = TypeAdapter(Cut)
_part_json = TypeAdapter(Part)


def shards_prefix(dataset: str, coordinator: str) -> str:
    """Where what concerns a coordinator's shards lies in the destination."""
    return f"{results_prefix(dataset, coordinator)}/shards"


def write_cut(store: ObjectStore, dataset: str, coordinator: str, cut: Cut) -> Summary:
    """Ask for shards, once the coordinator's ledger is in its place; its results say what is decided already.

    Raises:
        RelayError: the destination cannot be written.
    """
    _put(store, f"{shards_prefix(dataset, coordinator)}/plan.json", _cut_json.dump_json(cut))
    summary = join(store, dataset, coordinator)
    assert summary is not None
    return summary


def read_cut(store: ObjectStore, dataset: str, coordinator: str) -> Cut | None:
    """What a run asks for; None when it was not cut into shards.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        data = bytes(store.get(f"{shards_prefix(dataset, coordinator)}/plan.json").bytes())
        return _cut_json.validate_json(data)
    except (FileNotFoundError, ValidationError):
        return None
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error


def shard_rows(store: ObjectStore, dataset: str, shard: Shard) -> Iterator[Row]:
    """The manifest lines that fall to a shard, in order.

    They are read from the coordinator's ledger and not from the manifest, which may have been rewritten meanwhile.

    Raises:
        RelayError: the ledger is not there, or cannot be read.
    """
    ledger = read_ledger(store, dataset, shard.coordinator, shards_ledger_key)
    if ledger is None:
        raise RelayError(
            f"run {shard.coordinator} of dataset {dataset!r} left no shards in this destination; "
            "launch the manifest again without `shard`"
        )
    with ledger:
        for planned in ledger:
            if _number(planned.record, shard.of) == shard.number:
                yield _row(planned.record)


def add_part(store: ObjectStore, dataset: str, shard: Shard, part: Part) -> Summary | None:
    """Let a run's results stand for its shard, in place of another run's, and join them to the coordinator's.

    A run that left more undone than the other never takes its place: one that was lost may get its results only after
    the run that was started in its place has ended.

    Returns:
        The coordinator's summary; None when its records are gone.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    key = f"{shards_prefix(dataset, shard.coordinator)}/{shard.number}.json"
    other = _parts(store, dataset, shard.coordinator).get(shard.number)
    if other is None or part.not_attempted <= other.not_attempted:
        _put(store, key, _part_json.dump_json(part))
    return join(store, dataset, shard.coordinator)


def join(store: ObjectStore, dataset: str, coordinator: str) -> Summary | None:
    """Write a coordinator's results from those of its shards. Doing it again changes nothing.

    A shard that ended while this one was being joined may have written its own version in between: whoever writes
    last looks once more, so that none is left out.

    Returns:
        The coordinator's summary; None when its records are gone.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    try:
        parts = _parts(store, dataset, coordinator)
        while True:
            summary = _join(store, dataset, coordinator, parts)
            known, parts = parts, _parts(store, dataset, coordinator)
            if parts == known:
                return summary
    except (BaseError, OSError) as error:
        raise RelayError(f"results of run {coordinator} cannot be joined: {explain(error)}") from error


def _join(store: ObjectStore, dataset: str, coordinator: str, parts: dict[int, Part]) -> Summary | None:
    cut = read_cut(store, dataset, coordinator)
    ledger = read_ledger(store, dataset, coordinator, shards_ledger_key)
    if cut is None or ledger is None:
        return None
    with ledger, tempfile.TemporaryDirectory(prefix="imgrelay-") as name, ExitStack() as opened:
        scratch = Path(name)
        found = (
            _fetched(store, f"{results_prefix(dataset, part.run_id)}/results.jsonl", scratch) for part in parts.values()
        )
        files = [opened.enter_context(file) for file in found if file is not None]
        told = tell(_joined(ledger, files), ledger.settings, scratch, coordinator)
        statuses = {part.status for part in parts.values()}
        status = None
        if len(files) < cut.shards:
            status = PARTIAL
        elif "canceled" in statuses and told.outcomes[Outcome.NOT_ATTEMPTED]:
            status = "canceled"
        seconds = cut.seconds + sum(part.seconds for part in parts.values())
        return store_results(store, told, scratch, seconds=seconds, status=status)


def _joined(ledger: Ledger, results: list[IO[bytes]]) -> Iterator[Record]:
    """Each line of the coordinator's ledger with what its shard tells of it, if it tells something already."""
    told = heapq.merge(*(map(record_json.validate_json, lines) for lines in results), key=lambda record: record.line)
    following = next(told, None)
    for planned in ledger:
        while following is not None and following.line < planned.record.line:
            following = next(told, None)
        if following is not None and following.line == planned.record.line:
            yield replace(following, template=planned.record.template)
        else:
            yield _untold(planned)


def _untold(planned: Planned) -> Record:
    record = planned.record
    return record if record.outcome is not None else replace(record, outcome=Outcome.NOT_ATTEMPTED)


def _number(record: Record, of: int) -> int:
    """The shard that a line falls to: by its key, so that lines with the same key meet; without one, by its number."""
    return 1 + (record.line if record.key is None else zlib.crc32(record.key.encode(errors="surrogatepass"))) % of


def _row(record: Record) -> Row:
    """The manifest line that became this ledger record."""
    if record.reason is Reason.INVALID_ENTRY and record.key is None:
        return BadRow(record.line, record.url, record.detail or "")
    return ManifestRow(record.line, record.url, record.key, record.template)


def _parts(store: ObjectStore, dataset: str, coordinator: str) -> dict[int, Part]:
    found = {}
    prefix = shards_prefix(dataset, coordinator)
    for chunk in store.list(prefix):
        for meta in chunk:
            name = meta["path"].rpartition("/")[2].removesuffix(".json")
            if name.isdecimal():
                found[int(name)] = _part_json.validate_json(bytes(store.get(meta["path"]).bytes()))
    return found


def _fetched(store: ObjectStore, key: str, scratch: Path) -> IO[bytes] | None:
    """An object on scratch disk: it is fetched at once, however slowly it is read then. None when it was deleted."""
    path = scratch / key.replace("/", "_")
    try:
        with path.open("wb") as file:
            for piece in pieces(store, store.head(key)):
                file.write(piece)
    except FileNotFoundError:
        return None
    return path.open("rb")


def _put(store: ObjectStore, key: str, data: bytes) -> None:
    try:
        put(store, key, data, "application/json")
    except (BaseError, OSError) as error:
        raise RelayError(f"{key!r} cannot be written: {explain(error)}") from error
