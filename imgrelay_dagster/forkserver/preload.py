"""The module that the forkserver imports once, so that every step process starts with everything imported.

Dagster imports much of itself lazily, which would cost each step process over half a second of CPU time. This module
only imports: it opens no store and makes no request, because neither survives a fork. The forkserver silently skips a
module that it cannot import, so a test looks for `LOADED` in a step process.
"""

import importlib
import os
import sys

from imgrelay_dagster.config import environment
from imgrelay_dagster.forkserver.fast_imports import loading

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""NumPy would start a thread for each core, and threads do not survive a fork."""

with loading():
    from imgrelay_dagster.dagster_patches.opened_storage import prepare_opened_storage
    from imgrelay_dagster.dagster_patches.resolved_config import prepare_resolved_config
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
    "PIL.BmpImagePlugin",  # Pillow imports this one and the next before it opens any file
    "PIL.PpmImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.ImageCms",
    "PIL.JpegImagePlugin",
    "PIL.MpoImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.WebPImagePlugin",
    "simplejpeg",
    "sqlalchemy.dialects.sqlite",
    "upath.implementations.local",
    "imgrelay_dagster.commands.launch",  # a step process runs the command's main module again, which imports this
    "imgrelay_dagster.definitions",
)

POSTGRES = ("dagster_postgres", "psycopg2")
"""Imported as well where the instance keeps its storage in Postgres."""

with loading():
    for _name in MODULES + (POSTGRES if environment.PRELOAD_POSTGRES.get() else ()):
        importlib.import_module(_name)
    prepare_sqlite_storage()
    prepare_opened_storage()
    prepare_resolved_config()
    warm_up()

LOADED = frozenset(sys.modules)
"""Every module that a step process finds imported."""
