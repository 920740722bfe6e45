"""An empty run, in the process that steps are forked from.

Dagster caches what it computes at first use (signatures, config types, subclass checks), and every step process that is
forked from here inherits the caches. The run opens no store, makes no request and leaves no thread behind, because none
of these survives a fork.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3.session
import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value, serialize_value

from imgrelay_dagster.config.s3_access import spare_sessions
from imgrelay_dagster.definitions import defs, relay_job
from imgrelay_dagster.relay.fetch.connections import tls_context
from imgrelay_dagster.relay.html_report.render import report_template
from imgrelay_dagster.relay.html_report.run_facts import versions_facts
from imgrelay_dagster.relay.staging.tasks import Task
from imgrelay_dagster.resources import HttpResource, StoresResource, TemplatesResource, build_resources

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

_INSTANCE_PARTS = ("local_artifact_storage", "compute_log_manager", "scheduler", "run_coordinator", "run_launcher")
"""What a step builds of Dagster's instance, besides its storage."""


@dg.op(out=dg.DynamicOut(Task))
def cut_nothing() -> Iterator[dg.DynamicOutput[Task]]:
    """Yield one task without entries."""
    yield dg.DynamicOutput(Task("nothing", ()), mapping_key="nothing")


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def relay_nothing(
    context: dg.OpExecutionContext,
    stores: StoresResource,
    http: HttpResource,
    templates: TemplatesResource,
    task: Task,
) -> Task:
    """Do what the stages do before their first entry."""
    templates.open()
    _ = stores.staging_address, http.allowed_hosts
    context.add_output_metadata({"entries": 0})
    return task


@dg.op(out=dg.Out(dg.Nothing))
def gather_nothing(tasks: list[Task]) -> None:
    """Collect the tasks."""


@dg.graph
def nothing() -> None:
    """A graph of the shape of the relay graph."""
    gather_nothing(cut_nothing().map(relay_nothing).collect())


def warm_up() -> None:
    """Do once what every step does, so that its results are cached."""
    tls_context()
    report_template()
    versions_facts()
    spare_sessions.append(boto3.session.Session())
    for job in defs.get_repository_def().get_all_jobs():
        _ = job.run_config_schema
    reconstructed = dg.reconstructable(relay_job)  # as the command passes it to each step
    reconstructed.get_definition()
    run = dg.DagsterRun(job_name=reconstructed.job_name, job_code_origin=reconstructed.get_python_origin())
    deserialize_value(serialize_value(run))
    with TemporaryDirectory(prefix="imgrelay-") as folder, dg.DagsterInstance.ephemeral() as instance:
        # The IO manager of S3 would ask for its bucket.
        resources = {**build_resources(), "io_manager": dg.FilesystemIOManager(base_dir=folder)}
        nothing.execute_in_process(instance=instance, resources=resources, run_config=QUIET)
        Path(folder, "dagster.yaml").touch()
        reference = InstanceRef.from_dir(folder)
        for part in _INSTANCE_PARTS:
            getattr(reference, part)
