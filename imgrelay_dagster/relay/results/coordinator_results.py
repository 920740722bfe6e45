"""Writing the results of a coordinator line by line, from its ledger and the results of its shards."""

import heapq
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO

from obstore.store import ObjectStore

from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.records.layout import RESULTS_FILE, results_key, shards_ledger_key
from imgrelay_dagster.relay.records.ledger import Ledger, Planned, read_ledger
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.records.summary import PARTIAL, Summary
from imgrelay_dagster.relay.results.comparison import compare_with_previous
from imgrelay_dagster.relay.results.writer import upload_results, write_result_files
from imgrelay_dagster.relay.storage.reading import read_chunks
from imgrelay_dagster.relay.storage.scratch_files import scratch_folder


def write_coordinator_results(
    store: ObjectStore,
    dataset: str,
    coordinator: str,
    summaries: dict[int, Summary],
    *,
    seconds: float,
    status: str | None,
    count: Callable[[Record], None] = lambda _: None,
) -> Summary | None:
    """Write all results of a coordinator: for each line of its ledger, the record of the shard's results.

    Args:
        coordinator: the run's id.
        summaries: summaries of the shards that have results, by the shard's number.
        seconds: wall time of the coordinator and its shards.
        status: the coordinator's status; by default it follows from the outcomes.
        count: called with each record.

    Returns:
        The coordinator's summary; None if its ledger was deleted.

    Raises:
        BaseError, OSError: the destination cannot be read or written.
    """
    ledger = read_ledger(store, dataset, coordinator, shards_ledger_key)
    if ledger is None:
        return None
    with ledger, scratch_folder() as scratch, ExitStack() as exits:
        keys = [results_key(dataset, summary.run_id) for summary in summaries.values()]
        found = (_download(store, key, scratch / f"shard-{index}.jsonl") for index, key in enumerate(keys))
        files = [exits.enter_context(file) for file in found if file is not None]

        def records() -> Iterator[Record]:
            for record in _merged_records(ledger, files):
                count(record)
                yield record

        totals = write_result_files(records(), ledger.settings, scratch, coordinator)
        compared = None
        if status != PARTIAL:
            whole_list, path = ledger.settings.whole_list, scratch / RESULTS_FILE
            compared = compare_with_previous(store, dataset, coordinator, path, whole_list=whole_list)
        return upload_results(store, totals, scratch, seconds=seconds, status=status, compared=compared)


def _merged_records(ledger: Ledger, results: list[IO[bytes]]) -> Iterator[Record]:
    """For each line of the coordinator's ledger, the record in its shard's results, or else the planned one."""
    merged = heapq.merge(*(map(record_json.validate_json, lines) for lines in results), key=lambda record: record.entry)
    following = next(merged, None)
    for planned in ledger:
        while following is not None and following.entry < planned.record.entry:
            following = next(merged, None)
        if following is not None and following.entry == planned.record.entry:
            yield replace(following, template=planned.record.template)
        else:
            yield _unmerged_record(planned)


def _unmerged_record(planned: Planned) -> Record:
    record = planned.record
    return record if record.outcome is not None else replace(record, outcome=Outcome.NOT_ATTEMPTED)


def _download(store: ObjectStore, key: str, path: Path) -> IO[bytes] | None:
    """Download an object to `path` completely and open the file; None if the object was deleted."""
    try:
        with path.open("wb") as file:
            for chunk in read_chunks(store, key, store.head(key)["size"]):
                file.write(chunk)
    except FileNotFoundError:
        return None
    return path.open("rb")
