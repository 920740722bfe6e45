"""The entry point of the code location: all Dagster definitions."""

import warnings

import dagster as dg

from imgrelay_dagster.defs.assets import images_by_name, manifests
from imgrelay_dagster.defs.checks import newest_day_is_relayed
from imgrelay_dagster.defs.jobs import day_jobs, relay
from imgrelay_dagster.defs.schedules import schedules_by_asset
from imgrelay_dagster.defs.sensors import (
    canceled_runs,
    day_freshness,
    failed_runs,
    housekeeping,
    inbox,
    late_manifests,
    shards,
    succeeded_runs,
)
from imgrelay_dagster.execution.executors import relay_executor
from imgrelay_dagster.resources import build_resources, without_config

# Dagster itself passes a beta parameter when it attaches sensors to their jobs; users need not see that warning.
warnings.filterwarnings("ignore", "Parameter `owners` of initializer `SensorDefinition", dg.BetaWarning)

defs = dg.Definitions(
    assets=[*manifests, *images_by_name.values()],
    asset_checks=[newest_day_is_relayed],
    jobs=[relay, *day_jobs],
    schedules=list(schedules_by_asset.values()),
    sensors=[housekeeping, inbox, late_manifests, shards, day_freshness, failed_runs, canceled_runs, succeeded_runs],
    resources=without_config(build_resources()),
    executor=relay_executor,
)


def relay_job() -> dg.JobDefinition:
    """Job `relay` with its resources, for processes that reconstruct it."""
    return defs.resolve_job_def("relay")
