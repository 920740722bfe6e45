"""Finding runs in a Dagster instance that has many, some of them of other projects."""

from collections.abc import Iterator

import dagster as dg

from imgrelay_dagster.runs.tags import PROCESS_TAG

JOBS = frozenset({"relay", "relay_day"})

RELAYED_IMAGES = dg.AssetKey("relayed_images")

PAGE = 200
"""Runs read at a time."""


def run_records(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> Iterator[dg.RunRecord]:
    """All runs that match, the newest first, page by page."""
    cursor = None
    while page := instance.get_run_records(wanted, limit=PAGE, cursor=cursor):
        yield from page
        cursor = page[-1].dagster_run.run_id


def is_ours(run: dg.DagsterRun) -> bool:
    """Whether it is a run of the relay, by hand, by an asset's launchpad, a schedule or a sensor."""
    return PROCESS_TAG in run.tags or run.job_name in JOBS or RELAYED_IMAGES in (run.asset_selection or ())
