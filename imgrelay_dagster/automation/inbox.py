"""The inbox: each manifest that is put into `IMGRELAY_INBOX` gets one run of job `relay`."""

from collections.abc import Sequence
from functools import partial

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.allowed_paths import resolve_manifest
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.inbox import InboxCursor, InboxScan, scan_inbox
from imgrelay_dagster.relay.manifest.inbox_files import InboxFile, list_inbox
from imgrelay_dagster.relay.records.dataset_names import dataset_name
from imgrelay_dagster.relay.redact import printable
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import DATASET_TAG, MANIFEST_TAG

SENSOR_NAME = "inbox"

MAX_RUNS_PER_TICK = 100
"""Runs requested in one tick. Dagster creates about ten a second, and a tick must not take longer than 60 seconds."""

MAX_NAMED_FILES = 5
"""Files that a message names; it counts the others."""


def inbox_address() -> str | None:
    """The address of the inbox: `$IMGRELAY_INBOX`, a folder or an `s3://` address; None if it is not set."""
    given = environment.INBOX.get()
    return absolute(given) if given else None


def evaluate_inbox(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
    """Request a run for each manifest in the inbox that is ready.

    Raises:
        RelayError: the inbox cannot be listed.
    """
    inbox = inbox_address()
    if inbox is None:
        return dg.SensorResult(skip_reason="IMGRELAY_INBOX is not set; set it to a folder or s3://bucket/prefix")
    scan = scan_inbox(
        list_inbox(inbox, partial(stores.open, policy=INTERACTIVE), stores.list_any),
        InboxCursor.load(context.cursor),
        limit=MAX_RUNS_PER_TICK,
        keys_with_run=partial(keys_with_run, context.instance),
        refusal=refusal,
        atomic=is_remote(inbox),
    )
    cursor = scan.cursor.dump()
    if not scan.ready:
        return dg.SensorResult(skip_reason=describe_scan(scan, inbox), cursor=cursor)
    context.log.info(describe_scan(scan, inbox))  # a tick that requests runs shows these and no message
    return dg.SensorResult(run_requests=[_request(file) for file in scan.ready], cursor=cursor)


def describe_scan(scan: InboxScan, inbox: str) -> str:
    """The result of a scan, as one line of text."""

    def names(files: Sequence[InboxFile]) -> str:
        shown = [printable(file.address.removeprefix(f"{inbox}/")) for file in files[:MAX_NAMED_FILES]]
        others = len(files) - len(shown)
        return ", ".join(shown) + (f" and {others:,} more" if others else "")

    parts = []
    if scan.ready:
        parts.append(f"runs for {_manifests(len(scan.ready))}: {names(scan.ready)}")
    if scan.deferred:
        parts.append(f"{_manifests(scan.deferred)} deferred to the next ticks")
    if scan.unstable:
        parts.append(f"waiting for {_manifests(len(scan.unstable))} to stop changing: {names(scan.unstable)}")
    for error in dict.fromkeys(file.error for file in scan.ignored):
        files = [file for file in scan.ignored if file.error == error]
        parts.append(f"ignored from now on: {names(files)} ({error})")
    if not parts:
        parts.append(f"nothing new in {printable(inbox)}; {_manifests(scan.handled)} handled")
    return "; ".join(parts)


def _manifests(count: int) -> str:
    return "1 manifest" if count == 1 else f"{count:,} manifests"


def _request(file: InboxFile) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=file.key,
        run_config={"manifest": file.address},
        tags={MANIFEST_TAG: file.address, DATASET_TAG: dataset_name(file.address)},
    )


def refusal(file: InboxFile) -> str | None:
    """Why a run config refuses this manifest; None if it does not.

    Dagster validates the config of requested runs, so a refused manifest would fail every tick.
    """
    try:
        resolve_manifest(file.address)
    except RelayError as error:
        return str(error)
    return None


def keys_with_run(instance: dg.DagsterInstance, keys: list[str]) -> set[str]:
    """The keys that have a run. A run that is not launched does not count: requested again, Dagster launches it."""
    runs = instance.get_runs(dg.RunsFilter(tags={SENSOR_NAME_TAG: SENSOR_NAME, RUN_KEY_TAG: keys}))
    return {run.tags[RUN_KEY_TAG] for run in runs if run.status is not dg.DagsterRunStatus.NOT_STARTED}
