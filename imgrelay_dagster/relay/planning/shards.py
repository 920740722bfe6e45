"""A manifest too large for one run: cut into shard runs, each with its share of the lines.

The run that finds too much left to do (the coordinator) relays nothing. It leaves its ledger and `plan.json` below
`runs/<its id>/shards/` in the destination. Each shard run relays the lines of that ledger whose key falls to it, so
that lines which claim the same key meet in one shard. How their results become the coordinator's: `joining.py`.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.rows import BadRow, ManifestRow, Row
from imgrelay_dagster.relay.outcomes import Reason, Record
from imgrelay_dagster.relay.records.layout import shards_ledger_key, shards_prefix
from imgrelay_dagster.relay.records.ledger import read_ledger
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.settings import Shard
from imgrelay_dagster.relay.storage.stores import explain


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """`plan.json`: the seconds that it took to plan the shards, and what is to say of each that has no results yet."""

    seconds: float
    shares: list[Summary]

    @property
    def shards(self) -> int:
        """How many shards the coordinator asks for."""
        return len(self.shares)


cut_json = TypeAdapter(ShardPlan)


def read_shard_plan(store: ObjectStore, dataset: str, coordinator: str) -> ShardPlan | None:
    """What a run asks for; None when it was not cut into shards.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        data = bytes(store.get(f"{shards_prefix(dataset, coordinator)}/plan.json").bytes())
        return cut_json.validate_json(data)
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
            if shard_number(planned.record, shard.of) == shard.number:
                yield _row(planned.record)


def shard_number(record: Record, of: int) -> int:
    """The shard that a line falls to: by its key, so that lines with the same key meet; without one, by its number."""
    return 1 + (record.line if record.key is None else zlib.crc32(record.key.encode(errors="surrogatepass"))) % of


def _row(record: Record) -> Row:
    """The manifest line that became this ledger record."""
    if record.reason is Reason.INVALID_ENTRY and record.key is None:
        return BadRow(record.line, record.url, record.detail or "")
    return ManifestRow(record.line, record.url, record.key, record.template)
