"""Imported once by the forkserver, so that every step's process starts with everything loaded.

Dagster loads its storage layers lazily: left to each child, they cost over half a second of CPU a step. Imports
only: no store is opened and no request made here, for neither survives a fork.
"""

import importlib
import os

import boto3.session  # noqa: F401
import dagster._core.event_api  # noqa: F401
import dagster._core.execution.plan.external_step  # noqa: F401
import dagster._core.executor.child_process_executor  # noqa: F401
import dagster._core.executor.multiprocess  # noqa: F401
import dagster._core.launcher  # noqa: F401
import dagster._core.launcher.default_run_launcher  # noqa: F401
import dagster._core.run_coordinator.queued_run_coordinator  # noqa: F401
import dagster._core.storage.event_log.sqlite.sqlite_event_log  # noqa: F401
import dagster._core.storage.local_compute_log_manager  # noqa: F401
import dagster._core.storage.noop_compute_log_manager  # noqa: F401
import dagster._core.storage.root  # noqa: F401
import dagster._core.storage.runs.sqlite.sqlite_run_storage  # noqa: F401
import dagster._core.storage.schedules.sqlite.sqlite_schedule_storage  # noqa: F401
import dagster._core.storage.sqlite_storage  # noqa: F401
import PIL.AvifImagePlugin
import PIL.GifImagePlugin
import PIL.ImageCms
import PIL.JpegImagePlugin
import PIL.MpoImagePlugin
import PIL.PngImagePlugin
import PIL.WebPImagePlugin  # noqa: F401
import sqlalchemy.dialects.sqlite  # noqa: F401
import upath.implementations.local  # noqa: F401

import imgrelay_dagster.definitions  # noqa: F401

OPTIONAL = ("dagster_postgres", "psycopg2")
"""Loaded as well where the instance keeps its storage in Postgres."""

for name in OPTIONAL if os.environ.get("IMGRELAY_PRELOAD_POSTGRES") else ():
    importlib.import_module(name)
