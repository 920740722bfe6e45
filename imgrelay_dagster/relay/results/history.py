"""Reading a destination: its datasets, their runs, and each run's results."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.html_report.sampling import Reservoir
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.layout import (
    results_key,
    run_of_settings,
    run_of_summary,
    runs_prefix,
)
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.reading import read_chunks


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that has its results, and the time when they were first written."""

    run_id: str
    at: datetime


def past_runs(store: ObjectStore, dataset: str) -> list[PastRun]:
    """The runs of a dataset that have their results, newest first.

    The time is that of `settings.json`, because the summary is written again if receipts arrive later. Runs of earlier
    versions have only the summary.

    Raises:
        RelayError: the destination cannot be read.
    """
    summaries: dict[str, datetime] = {}
    settings: dict[str, datetime] = {}
    try:
        for chunk in store.list(runs_prefix(dataset)):
            for meta in chunk:
                for found, run_of in ((summaries, run_of_summary), (settings, run_of_settings)):
                    if (run_id := run_of(meta["path"])) is not None:
                        found[run_id] = meta["last_modified"]
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    runs = (PastRun(run_id, settings.get(run_id, at)) for run_id, at in summaries.items())
    return sorted(runs, key=lambda run: run.at, reverse=True)


def result_lines(store: ObjectStore, dataset: str, run_id: str) -> Iterator[bytes]:
    """The lines of a run's `results.jsonl`, in manifest order. A run without results gives no lines.

    Raises:
        RelayError: the destination cannot be read.
    """
    return object_lines(store, results_key(dataset, run_id))


def object_lines(store: ObjectStore, key: str) -> Iterator[bytes]:
    """The lines of an object, such as a run's `failed.jsonl`. A missing object gives no lines.

    Raises:
        RelayError: the destination cannot be read.
    """
    rest = b""
    try:
        for chunk in read_chunks(store, key, store.head(key)["size"]):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
    except FileNotFoundError:
        return
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    if rest:
        yield rest


def sample_stored(store: ObjectStore, dataset: str, run_id: str, size: int) -> list[Record]:
    """Up to `size` records of stored images of a run, chosen at random, in manifest order.

    The same run always gives the same sample.

    Raises:
        RelayError: the destination cannot be read.
    """
    reservoir: Reservoir[bytes] = Reservoir(size, Random(run_id))
    for line in result_lines(store, dataset, run_id):
        if any(outcome in line for outcome in _STORED):  # faster than parsing a hundred thousand lines
            reservoir.add(line)
    return sorted(map(record_json.validate_json, reservoir.items), key=lambda record: record.entry)


_STORED = (b'"outcome":"uploaded"', b'"outcome":"unchanged"')
"""How a line of `results.jsonl` spells these outcomes. In a JSON string the quotes would be escaped."""
