"""Merging the results of shard runs into the results of their coordinator.

Each shard run writes its summary beside the coordinator's `plan.json`. After each shard run, the coordinator's summary
is added up again. Its other results are merged once, after the last shard run, because that reads every line.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import replace

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.planning.shards import ShardPlan, read_shard_plan, shard_number, shard_plan_json
from imgrelay_dagster.relay.records.layout import (
    shard_of_summary,
    shard_plan_key,
    shard_summary_key,
    shards_prefix,
)
from imgrelay_dagster.relay.records.summary import PARTIAL, Summary, sum_summaries, summary_json, write_summary
from imgrelay_dagster.relay.results.coordinator_results import write_coordinator_results
from imgrelay_dagster.relay.settings import Shard
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.objects import put_object


def write_shard_plan(store: ObjectStore, dataset: str, coordinator: str, *, shards: int, seconds: float) -> Summary:
    """Write a coordinator's first results and its shard plan, from which the shard runs are launched.

    Args:
        coordinator: the run's id; its ledger must be written already.
        shards: number of shards.
        seconds: wall time of the run so far.

    Returns:
        The coordinator's summary, with the outcomes that planning decided.

    Raises:
        RelayError: the destination cannot be written.
    """
    outcomes = [Counter[str]() for _ in range(shards)]
    reasons = [Counter[str]() for _ in range(shards)]

    def count(record: Record) -> None:
        index = shard_number(record, shards) - 1
        outcomes[index][record.outcome or ""] += 1
        if record.outcome is Outcome.FAILED and record.reason is not None:
            reasons[index][record.reason.value] += 1

    try:
        summary = write_coordinator_results(
            store, dataset, coordinator, {}, seconds=seconds, status=PARTIAL, count=count
        )
    except (BaseError, OSError) as error:
        raise RelayError(f"results of run {coordinator} cannot be written: {explain(error)}") from error
    assert summary is not None
    plan = ShardPlan(seconds, [_planned_summary(dataset, *counts) for counts in zip(outcomes, reasons, strict=True)])
    _put_json(store, shard_plan_key(dataset, coordinator), shard_plan_json.dump_json(plan))
    return summary


def _planned_summary(dataset: str, outcomes: Counter[str], reasons: Counter[str]) -> Summary:
    """The summary of a shard before any run of it."""
    return Summary(
        run_id="",
        dataset=dataset,
        status=PARTIAL,
        entries=outcomes.total(),
        uploaded=0,
        unchanged=outcomes[Outcome.UNCHANGED],
        failed=outcomes[Outcome.FAILED],
        not_attempted=outcomes[Outcome.NOT_ATTEMPTED],
        reasons=dict(reasons),
        bytes_in=0,
        bytes_out=0,
        seconds=0.0,
        images_per_second=0.0,
    )


def add_shard_summary(store: ObjectStore, dataset: str, shard: Shard, summary: Summary) -> Summary | None:
    """Store a shard run's summary as that of its shard, and merge it into the coordinator's results.

    They replace the results of another run of the same shard, unless that run left fewer entries unattempted: a lost
    run may get its results only after the run that replaced it has ended.

    Returns:
        The coordinator's summary; None if its records were deleted.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    other = _shard_summaries(store, dataset, shard.coordinator).get(shard.number)
    if other is None or summary.not_attempted <= other.not_attempted:
        key = shard_summary_key(dataset, shard.coordinator, shard.number)
        _put_json(store, key, summary_json.dump_json(summary))
    return merge_shards(store, dataset, shard.coordinator)


def add_unplanned_shard(
    store: ObjectStore, dataset: str, shard: Shard, *, run_id: str, status: str, seconds: float
) -> Summary | None:
    """Add the summary of a run that ended before it was planned: none of its shard's entries was attempted.

    Returns:
        The coordinator's summary; None if its records were deleted or it has no such shard.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    plan = read_shard_plan(store, dataset, shard.coordinator)
    if plan is None or not 1 <= shard.number <= plan.shards:
        return None
    planned = plan.shares[shard.number - 1]
    summary = replace(planned, run_id=run_id, status=status, seconds=round(seconds, 3))
    return add_shard_summary(store, dataset, shard, summary)


def merge_shards(store: ObjectStore, dataset: str, coordinator: str) -> Summary | None:
    """Write a coordinator's results from those of its shards. Idempotent.

    Until every shard has results, only the summary is written. Another shard run that ends at the same time may write
    it in between, from fewer shards. So this reads the shards' summaries again after it has written.

    Returns:
        The coordinator's summary; None if its records were deleted.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    plan = read_shard_plan(store, dataset, coordinator)
    if plan is None:
        return None
    try:
        summaries = _shard_summaries(store, dataset, coordinator)
        while True:
            summary = _merge(store, dataset, coordinator, plan, summaries)
            merged, summaries = summaries, _shard_summaries(store, dataset, coordinator)
            if summaries == merged:
                return summary
    except (BaseError, OSError) as error:
        raise RelayError(f"results of run {coordinator} cannot be merged: {explain(error)}") from error


def _merge(
    store: ObjectStore, dataset: str, coordinator: str, plan: ShardPlan, summaries: dict[int, Summary]
) -> Summary | None:
    shares = [summaries.get(number, planned) for number, planned in enumerate(plan.shares, 1)]
    total = sum_summaries(shares, coordinator, dataset, PARTIAL, plan.seconds)
    if len(summaries) < plan.shards:
        write_summary(store, total)
        return total
    canceled = total.not_attempted and "canceled" in {summary.status for summary in summaries.values()}
    status = "canceled" if canceled else None
    return write_coordinator_results(store, dataset, coordinator, summaries, seconds=total.seconds, status=status)


def _shard_summaries(store: ObjectStore, dataset: str, coordinator: str) -> dict[int, Summary]:
    """The summaries of the shards that have results, by the shard's number."""
    found = {}
    for chunk in store.list(shards_prefix(dataset, coordinator)):
        for meta in chunk:
            number = shard_of_summary(meta["path"])
            if number is not None:
                with suppress(ValidationError):  # cut off by a loss of power
                    found[number] = summary_json.validate_json(bytes(store.get(meta["path"]).bytes()))
    return found


def _put_json(store: ObjectStore, key: str, data: bytes) -> None:
    try:
        put_object(store, key, data, "application/json")
    except (BaseError, OSError) as error:
        raise RelayError(f"{key!r} cannot be written: {explain(error)}") from error
