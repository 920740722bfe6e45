"""Imported once by the forkserver, so that every step's process starts with everything loaded.

Dagster loads much of itself lazily: left to each child, that costs over half a second of CPU a step. Imports
only: no store is opened and no request made here, for neither survives a fork. The forkserver skips what it
cannot import without a word, so `LOADED` is what a test looks for in a child.
"""

import functools
import importlib
import logging
import os
import sys

from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.storage.sql import ALEMBIC_SCRIPTS_LOCATION

MODULES = (
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
    "PIL.GifImagePlugin",
    "PIL.ImageCms",
    "PIL.JpegImagePlugin",
    "PIL.MpoImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.WebPImagePlugin",
    "sqlalchemy.dialects.sqlite",
    "upath.implementations.local",
    "imgrelay_dagster.definitions",
)

POSTGRES = ("dagster_postgres", "psycopg2")
"""Loaded as well where the instance keeps its storage in Postgres."""

for _name in MODULES + (POSTGRES if os.environ.get("IMGRELAY_PRELOAD_POSTGRES") else ()):
    importlib.import_module(_name)


@functools.cache
def _migrations(location: str) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", location)
    scripts = _from_config(config)
    scripts.as_revision_number("head")
    return scripts


# In every step, and for each of its storages, Dagster compares the database's schema with its own, for which Alembic
# reads and runs some sixty migration scripts: half of what a short step costs. They do not change while we run, so
# they are read once, before the fork.
_from_config = ScriptDirectory.from_config
ScriptDirectory.from_config = staticmethod(  # type: ignore[method-assign]
    lambda config: _migrations(config.get_main_option("script_location"))
)
_migrations(ALEMBIC_SCRIPTS_LOCATION)


def _unraisable(trouble: "sys.UnraisableHookArgs") -> None:
    if not issubclass(trouble.exc_type, DagsterExecutionInterruptedError):
        sys.__unraisablehook__(trouble)


# A cancel that reaches a step inside a destructor cannot be raised there: the step learns of it by other ways, and the
# terminal need not show a traceback.
sys.unraisablehook = _unraisable
logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())  # which logs the same of a connection being closed

LOADED = frozenset(sys.modules)
"""Every module that a child finds loaded."""
