"""Which executor runs the steps, and how its processes start."""

import dagster as dg

from imgrelay_dagster.config.executor_choice import CELERY, MULTIPROCESS, PRELOAD, check_reachable, executor_name
from imgrelay_dagster.config.run_config import checked_max_concurrent
from imgrelay_dagster.dagster_patches.event_polling import listen_to_all
from imgrelay_dagster.dagster_patches.stop_event import tell_without_waiting
from imgrelay_dagster.resources import staging_address

listen_to_all()
tell_without_waiting()


def _forkserver(config: dict[str, int]) -> dict[str, object]:
    return {
        "max_concurrent": checked_max_concurrent(config["max_concurrent"]),
        "start_method": {"forkserver": {"preload_modules": PRELOAD}},
    }


multiprocess = dg.multiprocess_executor.configured(
    _forkserver,
    config_schema={
        "max_concurrent": dg.Field(int, default_value=0, description="Steps at once; 0: one for each core.")
    },
    name="multiprocess",
)
"""Steps in processes forked from one that has everything loaded: a quarter of a second each instead of one."""


def chosen_executor() -> dg.ExecutorDefinition:
    """The executor that `$IMGRELAY_EXECUTOR` asks for.

    Raises:
        RelayError: it cannot work as the environment is; the message says what is missing.
    """
    name = executor_name()
    if name == MULTIPROCESS:
        return multiprocess
    check_reachable("staging", staging_address(), "IMGRELAY_STAGING")
    if name == CELERY:
        from imgrelay_dagster.execution.celery.executor import celery_executor  # noqa: PLC0415 - an extra
        from imgrelay_dagster.execution.celery.settings import celery_settings  # noqa: PLC0415

        celery_settings()
        return celery_executor
    from imgrelay_dagster.execution.kubernetes import kubernetes_executor  # noqa: PLC0415 - an extra

    return kubernetes_executor


relay_executor = chosen_executor()
