"""Reading back what runs have left in a destination: datasets, their runs, and each run's results."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.html_report.sampling import Reservoir
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.layout import RESULTS, SUMMARY, relay_prefix, results_prefix
from imgrelay_dagster.relay.records.receipts import pieces, record_json
from imgrelay_dagster.relay.records.summary import read_summary
from imgrelay_dagster.relay.storage.stores import explain


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that has its results, and when they were written."""

    run_id: str
    at: datetime


def dataset_names(store: ObjectStore) -> list[str]:
    """The datasets of a destination, sorted.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        found = store.list_with_delimiter("_relay/")["common_prefixes"]
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found)


def past_runs(store: ObjectStore, dataset: str) -> list[PastRun]:
    """The runs of a dataset that have their results, the newest first.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        found = [
            PastRun(meta["path"].split("/")[-2], meta["last_modified"])
            for chunk in store.list(f"{relay_prefix(dataset)}/runs")
            for meta in chunk
            if meta["path"].endswith(f"/{SUMMARY}")
        ]
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    return sorted(found, key=lambda run: run.at, reverse=True)


def result_lines(store: ObjectStore, dataset: str, run_id: str) -> Iterator[bytes]:
    """The lines of a run's `results.jsonl`, in manifest order; none where the run has no results.

    Raises:
        RelayError: the destination cannot be read.
    """
    rest = b""
    try:
        for piece in pieces(store, store.head(f"{results_prefix(dataset, run_id)}/{RESULTS}")):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
    except FileNotFoundError:
        return
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    if rest:
        yield rest


def sample_stored(store: ObjectStore, dataset: str, run_id: str, size: int) -> list[Record]:
    """Up to `size` of a run's records of images that are stored, picked at random, in manifest order.

    The same run gives the same sample. Raises RelayError as `result_lines` does.
    """
    kept: Reservoir[bytes] = Reservoir(size, Random(run_id))
    for line in result_lines(store, dataset, run_id):
        if any(outcome in line for outcome in _STORED):  # a hundred thousand lines are not parsed for two dozen
            kept.add(line)
    return sorted(map(record_json.validate_json, kept.kept), key=lambda record: record.line)


_STORED = (b'"outcome":"uploaded"', b'"outcome":"unchanged"')
"""As a line has it; within a text the quotes would be escaped."""

__all__ = ["PastRun", "dataset_names", "past_runs", "read_summary", "result_lines", "sample_stored"]
