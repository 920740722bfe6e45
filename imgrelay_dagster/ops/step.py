"""What every op works with: its Dagster context, the run's settings, its task."""

from dataclasses import dataclass, replace

import dagster as dg

from imgrelay_dagster.automation.partitions import day_dataset
from imgrelay_dagster.config.run_config import RelayOptions
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
    def day(self) -> str | None:
        """The day whose manifest this run relays; None for a run of job `relay`."""
        return partition_day(self.context)


@dataclass(frozen=True)
class TaskInput:
    """A task and the run's settings: the output of `plan` for each task, and of each stage for the next stage.

    Only `plan` has a config. Dagster validates a run's whole config twice in each step, so the same config on five ops
    would cost each step five times as much.
    """

    task: Task
    settings: Settings


def partition_day(context: dg.OpExecutionContext) -> str | None:
    """The run's partition key, which is a day; None for a run without a partition."""
    return context.partition_key if context.has_partition_key else None


def run_settings(context: dg.OpExecutionContext, options: RelayOptions) -> Settings:
    """The settings of a run with these options; the run of a daily partition uses the dataset of its day."""
    settings, day = options.settings(), partition_day(context)
    return settings if day is None else replace(settings, dataset=day_dataset(day))
