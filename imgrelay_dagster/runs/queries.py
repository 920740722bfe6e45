"""Queries for runs in a Dagster instance that may hold many runs, some of them of other projects."""

import json
from collections.abc import Iterator

import dagster as dg

from imgrelay_dagster.config import environment
from imgrelay_dagster.runs.tags import PROCESS_TAG

DAY_JOB = "relay_day"
"""The job of asset `relayed_images`. Those of other daily assets have its name and theirs: `relay_day_thumbnails`."""

JOB_NAMES = frozenset({"relay", DAY_JOB})

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
    is_own_job = run.job_name in JOB_NAMES or run.job_name.startswith(f"{DAY_JOB}_")
    return PROCESS_TAG in run.tags or is_own_job or bool(day_asset_names(run))


def day_asset_names(run: dg.DagsterRun) -> list[str]:
    """The daily assets that a run relays: one, unless somebody selected several."""
    if run.job_name.startswith(DAY_JOB):
        return [run.job_name.removeprefix(DAY_JOB).removeprefix("_") or RELAYED_IMAGES.to_python_identifier()]
    selected = {key.to_user_string() for key in run.asset_selection or ()}
    _, entries = environment.DAY_ASSETS.get() or ("", "[]")
    names = {RELAYED_IMAGES.to_user_string(), *(entry["name"] for entry in json.loads(entries))}
    return sorted(selected & names)
