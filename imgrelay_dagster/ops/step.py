"""What every op works with: its Dagster context, the run's settings, its task."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import dagster as dg

from imgrelay_dagster.automation.day_assets import DayAsset, day_assets, find_day_asset
from imgrelay_dagster.automation.partitions import day_of, period_name
from imgrelay_dagster.config.run_options import RelayOptions
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import STAGE_TAG


def priority_tags(number: int) -> dict[str, str]:
    """The op tags for a step's priority (higher runs first), as Dagster's executors and dagster-celery spell them."""
    return {"dagster/priority": str(number), "dagster-celery/priority": str(number)}


def stage_tags(stage: Stage, priority: int) -> dict[str, str]:
    """The op tags of a stage: its priority, and the name by which executors count its running steps."""
    return {STAGE_TAG: stage.value, **priority_tags(priority)}


@dataclass(frozen=True)
class Step:
    """What every op works with: its Dagster context, the run's settings, the stores."""

    context: dg.OpExecutionContext
    settings: Settings
    stores: StoresResource

    @property
    def asset(self) -> DayAsset | None:
        """The daily asset that this run relays; None for a run of job `relay`."""
        return day_asset_of(self.context)

    @property
    def period(self) -> str | None:
        """The partition whose manifest this run relays; None for a run without one."""
        return partition_of(self.context)

    @property
    def day(self) -> str:
        """The name of the run's period for patterns of keys; today in `IMGRELAY_TIMEZONE` for a run without one."""
        return day_of(datetime.now(UTC)) if self.period is None else period_name(self.period)


@dataclass(frozen=True)
class TaskInput:
    """A task and the run's settings: the output of `plan` for each task, and of each stage for the next stage.

    Only `plan` has a config. Dagster validates a run's whole config twice in each step, so the same config on five ops
    would cost each step five times as much.
    """

    task: Task
    settings: Settings


def partition_of(context: dg.OpExecutionContext) -> str | None:
    """The run's partition key; None for a run without a partition."""
    return context.partition_key if context.has_partition_key else None


def day_asset_of(context: dg.OpExecutionContext) -> DayAsset | None:
    """The daily asset that a step belongs to; None for a step of job `relay`."""
    graph, *inner = context.op_handle.path
    return find_day_asset(graph) if inner else None


def check_one_asset(context: dg.OpExecutionContext) -> None:
    """Refuse a run of several daily assets: each has results, a dataset and scratch space of its own.

    Raises:
        RelayError: somebody selected several of them.
    """
    names = sorted({node.name for node in context.job_def.nodes} & {asset.name for asset in day_assets()})
    if len(names) > 1:
        raise RelayError(f"a run relays one daily asset, not {' and '.join(names)}; launch each of them by itself")


def run_settings(context: dg.OpExecutionContext, options: RelayOptions) -> Settings:
    """The settings of a run with these options; the run of a daily asset uses the dataset of its period."""
    settings, asset, period = options.settings(), day_asset_of(context), partition_of(context)
    return settings if asset is None or period is None else replace(settings, dataset=asset.dataset(period))
