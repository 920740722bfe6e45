"""What a run's tags and records tell of it."""

import dagster as dg
from dagster._core.execution.stats import StepEventStatus
from obstore.store import ObjectStore

from imgrelay_dagster.relay.results.fold import Summary, read_summary
from imgrelay_dagster.relay.settings import Shard
from imgrelay_dagster.runs.tags import (
    COORDINATOR_TAG,
    RESULTS_TAG,
    SETTLED_TAG,
    SHARD_TAG,
)

RECENT = 7 * 24 * 3600.0
"""Seconds that a run without results is looked after."""


def counts_tag(summary: Summary) -> dict[str, str]:
    """The run tags that say how far a run got; they show in the list of runs."""
    done = summary.uploaded + summary.unchanged
    counts = f"{done} of {summary.entries}" + (f", {summary.failed} failed" if summary.failed else "")
    return {RESULTS_TAG: counts, SETTLED_TAG: summary.run_id}


def joined_summary(instance: dg.DagsterInstance, store: ObjectStore, dataset: str, coordinator: str) -> Summary | None:
    """What has become so far of all shards of a run together, shown on that run; None when its records are gone.

    Raises:
        RelayError: the destination cannot be read.
    """
    summary = read_summary(store, dataset, coordinator)
    if summary is not None and instance.has_run(coordinator):
        instance.add_run_tags(coordinator, counts_tag(summary))
    return summary


def shard_of(run: dg.DagsterRun) -> Shard | None:
    """The shard that this run relays, as its tags say."""
    number, _, of = run.tags.get(SHARD_TAG, "").partition(" of ")
    if COORDINATOR_TAG not in run.tags or not number.isdecimal() or not of.isdecimal():
        return None
    return Shard(run.tags[COORDINATOR_TAG], int(number), int(of))


def is_settled(run: dg.DagsterRun) -> bool:
    """Whether the run has its results."""
    return run.tags.get(SETTLED_TAG) == run.run_id


def was_planned(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run came as far as to have a ledger."""
    steps = instance.get_run_step_stats(run_id, ["plan"])
    return any(step.status is StepEventStatus.SUCCESS for step in steps)


def is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether this instance knows that the run has ended."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished
