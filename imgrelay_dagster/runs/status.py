"""The status of a run, as its tags and records in the Dagster instance show it."""

import dagster as dg
from dagster._core.execution.stats import StepEventStatus
from obstore.store import ObjectStore

from imgrelay_dagster.relay.records.summary import Summary, read_summary
from imgrelay_dagster.relay.settings import Shard
from imgrelay_dagster.runs.queries import day_asset_names
from imgrelay_dagster.runs.tags import COORDINATOR_TAG, RESULTS_TAG, SETTLED_TAG, SHARD_TAG

LOOKBACK = 7 * 24 * 3600.0
"""Seconds after a run's last update in which the sensors still look after it."""


def results_tags(summary: Summary) -> dict[str, str]:
    """The tags of a run whose results are written: its counts for the list of runs, and the mark of a settled run."""
    done = summary.uploaded + summary.unchanged
    counts = f"{done} of {summary.entries}" + (f", {summary.failed} failed" if summary.failed else "")
    return {RESULTS_TAG: counts, SETTLED_TAG: summary.run_id}


def tag_coordinator(instance: dg.DagsterInstance, store: ObjectStore, dataset: str, coordinator: str) -> Summary | None:
    """Tag the coordinator with the merged counts of its shards so far.

    Returns:
        The merged summary; None when the coordinator's records are gone.

    Raises:
        RelayError: the destination cannot be read.
    """
    summary = read_summary(store, dataset, coordinator)
    if summary is not None and instance.has_run(coordinator):
        instance.add_run_tags(coordinator, results_tags(summary))
    return summary


def shard_of(run: dg.DagsterRun) -> Shard | None:
    """The shard that this run relays, read from its tags; None for a run that is no shard run."""
    number, _, of = run.tags.get(SHARD_TAG, "").partition(" of ")
    if COORDINATOR_TAG not in run.tags or not number.isdecimal() or not of.isdecimal():
        return None
    return Shard(run.tags[COORDINATOR_TAG], int(number), int(of))


def is_settled(run: dg.DagsterRun) -> bool:
    """Whether the run is settled: its results are written, or it is known that it can have none."""
    return run.tags.get(SETTLED_TAG) == run.run_id


def was_planned(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run's step `plan` succeeded, so that the run has a ledger."""
    run = instance.get_run_by_id(run_id)
    keys = ["plan", *(f"{name}.plan" for name in (day_asset_names(run) if run else ()))]
    steps = instance.get_run_step_stats(run_id, keys)
    return any(step.status is StepEventStatus.SUCCESS for step in steps)


def is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run has ended, according to this instance; False for a run that it does not know."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished
