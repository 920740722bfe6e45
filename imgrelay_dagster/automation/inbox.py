"""The inbox: every manifest that lands in `IMGRELAY_INBOX` gets one run of job `relay`."""

import os
from collections.abc import Sequence
from functools import partial

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from imgrelay_dagster.config.allowed_paths import resolve_manifest
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.inbox import InboxCursor, InboxScan, scan_inbox
from imgrelay_dagster.relay.manifest.inbox_files import InboxFile, list_inbox
from imgrelay_dagster.relay.records.dataset_names import dataset_name
from imgrelay_dagster.relay.redact import printable
from imgrelay_dagster.relay.storage.stores import INTERACTIVE, absolute, is_remote
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import DATASET_TAG, MANIFEST_TAG

SENSOR = "inbox"

MOST_RUNS = 100
"""Runs asked for in one look. Dagster makes some ten a second of them, and may take a minute for all."""

NAMED = 5
"""Files named in a message, the rest is counted."""


def inbox_address() -> str | None:
    """Where manifests land: `$IMGRELAY_INBOX`, a folder or `s3://`."""
    given = os.environ.get("IMGRELAY_INBOX")
    return absolute(given) if given else None


def evaluate_inbox(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
    """Ask for a run for each manifest that is due.

    Raises:
        RelayError: the inbox cannot be listed.
    """
    inbox = inbox_address()
    if inbox is None:
        return dg.SensorResult(skip_reason="IMGRELAY_INBOX is not set; set it to a folder or s3://bucket/prefix")
    found = scan_inbox(
        list_inbox(inbox, partial(stores.open, policy=INTERACTIVE), stores.list_any),
        InboxCursor.load(context.cursor),
        most=MOST_RUNS,
        has_run=lambda keys: _with_run(context.instance, keys),
        refusal=_refusal,
        whole=is_remote(inbox),
    )
    cursor = found.cursor.dump()
    if not found.ready:
        return dg.SensorResult(skip_reason=words(found, inbox), cursor=cursor)
    context.log.info(words(found, inbox))  # Dagster shows the runs of such a look in place of a message
    return dg.SensorResult(run_requests=[_request(file) for file in found.ready], cursor=cursor)


def words(found: InboxScan, inbox: str) -> str:
    """What was found, in one line."""

    def names(files: Sequence[InboxFile]) -> str:
        shown = [printable(file.address.removeprefix(f"{inbox}/")) for file in files[:NAMED]]
        return ", ".join(shown) + (f" and {len(files) - NAMED:,} more" if len(files) > NAMED else "")

    parts = []
    if found.ready:
        parts.append(f"runs for {_manifests(len(found.ready))}: {names(found.ready)}")
    if found.deferred:
        parts.append(f"{_manifests(found.deferred)} to follow in the next looks")
    if found.unstable:
        parts.append(f"waiting for {_manifests(len(found.unstable))} to stand still: {names(found.unstable)}")
    for trouble in dict.fromkeys(file.trouble for file in found.ignored):
        files = [file for file in found.ignored if file.trouble == trouble]
        parts.append(f"ignored from now on: {names(files)} ({trouble})")
    if not parts:
        parts.append(f"nothing new in {printable(inbox)}; {_manifests(found.handled)} handled")
    return "; ".join(parts)


def _manifests(count: int) -> str:
    return "1 manifest" if count == 1 else f"{count:,} manifests"


def _request(file: InboxFile) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=file.key,
        run_config={"manifest": file.address},
        tags={MANIFEST_TAG: file.address, DATASET_TAG: dataset_name(file.address)},
    )


def _refusal(file: InboxFile) -> str | None:
    """Why a run config would not take this manifest: asked for all the same, its run would fail this look for ever."""
    try:
        resolve_manifest(file.address)
    except RelayError as error:
        return str(error)
    return None


def _with_run(instance: dg.DagsterInstance, keys: list[str]) -> set[str]:
    """Which of these keys have a run. One that was made and not launched does not count: Dagster launches that one."""
    runs = instance.get_runs(dg.RunsFilter(tags={SENSOR_NAME_TAG: SENSOR, RUN_KEY_TAG: keys}))
    return {run.tags[RUN_KEY_TAG] for run in runs if run.status is not dg.DagsterRunStatus.NOT_STARTED}
