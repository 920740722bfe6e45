"""Imported once by the forkserver, so that every step's process starts with everything loaded.

Dagster loads much of itself lazily: left to each child, that costs over half a second of CPU a step. Imports
only: no store is opened and no request made here, for neither survives a fork. The forkserver skips what it
cannot import without a word, so `LOADED` is what a test looks for in a child.
"""

import importlib
import logging
import sys

from imgrelay_dagster.config import environment
from imgrelay_dagster.forkserver.fast_imports import loading

with loading():
    from dagster._core.errors import DagsterExecutionInterruptedError

    from imgrelay_dagster.dagster_patches.sqlite_storage import prepare_sqlite_storage
    from imgrelay_dagster.forkserver.warmup import warm_up

MODULES = (
    "boto3.s3.inject",
    "boto3.session",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.event_api",
    "dagster._core.execution.plan.external_step",
    "dagster._core.executor.child_process_executor",
    "dagster._core.executor.multiprocess",
    "dagster._core.instance.factory",
    "dagster._core.launcher.default_run_launcher",
    "dagster._core.run_coordinator.queued_run_coordinator",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.migration.utils",
    "dagster._core.storage.noop_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.system_config.composite_descent",
    "dagster._core.utility_ops",
    "dagster._core.workspace.autodiscovery",
    "dagster._utils.test.definitions",
    "multiprocessing.popen_forkserver",
    "multiprocessing.queues",
    "multiprocessing.synchronize",
    "PIL.AvifImagePlugin",
    "PIL.BmpImagePlugin",  # with the next, what Pillow loads before it opens anything
    "PIL.PpmImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.ImageCms",
    "PIL.JpegImagePlugin",
    "PIL.MpoImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.WebPImagePlugin",
    "sqlalchemy.dialects.sqlite",
    "upath.implementations.local",
    "imgrelay_dagster.commands.launch",  # a child runs the main module again: the command, which imports this
    "imgrelay_dagster.definitions",
)

POSTGRES = ("dagster_postgres", "psycopg2")
"""Loaded as well where the instance keeps its storage in Postgres."""

with loading():
    for _name in MODULES + (POSTGRES if environment.PRELOAD_POSTGRES.get() else ()):
        importlib.import_module(_name)
    prepare_sqlite_storage()
    warm_up()


def _unraisable(trouble: "sys.UnraisableHookArgs") -> None:
    if not issubclass(trouble.exc_type, DagsterExecutionInterruptedError):
        sys.__unraisablehook__(trouble)


# A cancel that reaches a step inside a destructor cannot be raised there: the step learns of it by other ways, and the
# terminal need not show a traceback.
sys.unraisablehook = _unraisable
logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())  # which logs the same of a connection being closed

LOADED = frozenset(sys.modules)
"""Every module that a child finds loaded."""
