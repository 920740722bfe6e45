"""Shards: a manifest too large for one run is divided among several shard runs.

A run that has more entries left than one run may relay becomes a coordinator and relays nothing. It writes its ledger
and `plan.json` into the destination (`layout.shards_prefix`). Each shard run relays the lines of that ledger that a
hash of their key assigns to it, so that lines with the same key belong to the same shard. `results/shard_merge.py`
merges the shards' results into the coordinator's.
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
from imgrelay_dagster.relay.records.layout import shard_plan_key, shards_ledger_key
from imgrelay_dagster.relay.records.ledger import read_ledger
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.settings import Shard
from imgrelay_dagster.relay.storage.error_text import explain


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The content of `plan.json`.

    `seconds` is the time that planning took. `shares` has a summary for each shard, which counts until the shard has
    results of its own.
    """

    seconds: float
    shares: list[Summary]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.shares)


shard_plan_json = TypeAdapter(ShardPlan)


def read_shard_plan(store: ObjectStore, dataset: str, coordinator: str) -> ShardPlan | None:
    """A coordinator's shard plan; None for a run without shards.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        data = bytes(store.get(shard_plan_key(dataset, coordinator)).bytes())
        return shard_plan_json.validate_json(data)
    except (FileNotFoundError, ValidationError):
        return None
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error


def shard_rows(store: ObjectStore, dataset: str, shard: Shard) -> Iterator[Row]:
    """The manifest lines of a shard, in order.

    They are read from the coordinator's ledger, because the manifest may have changed since it was planned.

    Raises:
        RelayError: the ledger does not exist or cannot be read.
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
    """The number (from 1) of a line's shard: by a hash of its key, or by its line number if it has no key."""
    key = record.key_identity
    return 1 + (record.line if key is None else zlib.crc32(key.encode(errors="surrogatepass"))) % of


def _row(record: Record) -> Row:
    """The manifest line from which this ledger record was made."""
    if record.reason is Reason.INVALID_ENTRY and record.key is None:
        return BadRow(record.line, record.url, record.detail or "", record.carried)
    return ManifestRow(
        record.line,
        record.url,
        record.key_identity,
        record.template,
        record.part,
        record.given_url,
        record.carried,
        record.expected,
        record.fallback_urls,
        record.focus,
    )
