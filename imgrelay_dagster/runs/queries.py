"""Queries for runs in a Dagster instance that may hold many runs, some of them of other projects."""

from collections.abc import Iterator

import dagster as dg

from imgrelay_dagster.runs.tags import PROCESS_TAG

JOB_NAMES = frozenset({"relay", "relay_day"})

RELAYED_IMAGES = dg.AssetKey("relayed_images")

PAGE_SIZE = 200
"""Runs read in one query."""


def run_records(instance: dg.DagsterInstance, filters: dg.RunsFilter) -> Iterator[dg.RunRecord]:
    """Yield the records of all matching runs, newest first; reads them page by page."""
    cursor = None
    while page := instance.get_run_records(filters, limit=PAGE_SIZE, cursor=cursor):
        yield from page
        cursor = page[-1].dagster_run.run_id


def is_relay_run(run: dg.DagsterRun) -> bool:
    """Whether this is a run of imgrelay, however it was launched: by hand, from an asset, by a schedule or a sensor."""
    return PROCESS_TAG in run.tags or run.job_name in JOB_NAMES or RELAYED_IMAGES in (run.asset_selection or ())
