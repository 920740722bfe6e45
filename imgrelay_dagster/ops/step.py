"""What every op works with: its context, its settings, its task."""

from dataclasses import dataclass, replace

import dagster as dg

from imgrelay_dagster.automation.partitions import day_dataset
from imgrelay_dagster.config.run_config import RelayOptions
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.resources import StoresResource


def priority(number: int) -> dict[str, str]:
    """The op tags that put steps before others (a higher number is sooner), in both of Dagster's spellings."""
    return {"dagster/priority": str(number), "dagster-celery/priority": str(number)}


@dataclass(frozen=True)
class Step:
    """What every op works with: its context, the run's settings, the stores."""

    context: dg.OpExecutionContext
    settings: Settings
    stores: StoresResource

    @property
    def day(self) -> str | None:
        """The day whose manifest this run relays, where it is a partition of a daily drop."""
        return day_of(self.context)


@dataclass(frozen=True)
class TaskInput:
    """A task and its run's settings: what `plan` hands out, and one stage to the next.

    Only `plan` has a config. Dagster checks all of a run's config twice in each step, so what five ops are given costs
    each step five times as much.
    """

    task: Task
    settings: Settings


def day_of(context: dg.OpExecutionContext) -> str | None:
    """The day that a run is a partition for, if it is for one."""
    return context.partition_key if context.has_partition_key else None


def run_settings(context: dg.OpExecutionContext, options: RelayOptions) -> Settings:
    """The settings of a run with these options; for a daily drop those of its day."""
    settings, day = options.settings(), day_of(context)
    return settings if day is None else replace(settings, dataset=day_dataset(day))
