"""Chooses the executor of all runs by `$IMGRELAY_EXECUTOR`."""

import dagster as dg

from imgrelay_dagster.config.executor_choice import CELERY, MULTIPROCESS, check_reachable, executor_name
from imgrelay_dagster.dagster_patches.stop_event import patch_stop_event
from imgrelay_dagster.execution.multiprocess import multiprocess
from imgrelay_dagster.resources import staging_address

patch_stop_event()


def chosen_executor() -> dg.ExecutorDefinition:
    """Return the executor named by `$IMGRELAY_EXECUTOR`.

    Raises:
        RelayError: the executor cannot work with the current environment. The message says what is missing.
    """
    name = executor_name()
    if name == MULTIPROCESS:
        return multiprocess
    check_reachable("staging", staging_address(), "IMGRELAY_STAGING")
    if name == CELERY:
        from imgrelay_dagster.execution.celery.executor import celery_executor  # noqa: PLC0415 - an optional extra
        from imgrelay_dagster.execution.celery.settings import celery_settings  # noqa: PLC0415

        celery_settings()
        return celery_executor
    from imgrelay_dagster.execution.kubernetes import kubernetes_executor  # noqa: PLC0415 - an optional extra

    return kubernetes_executor


relay_executor = chosen_executor()
