"""Telling of runs that failed or were cancelled: a line in a log, and a POST to a webhook.

A webhook's address is a secret, its path above all: nothing but its host is ever shown.
"""

import os
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import requests

from imgrelay_dagster.monitoring.failure_reason import failure_reason
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.backoff import transient_status
from imgrelay_dagster.relay.redact import redact_text
from imgrelay_dagster.runs.tags import DATASET_TAG, MANIFEST_TAG, NOTED_TAG, RESULTS_TAG

CONNECT_TIMEOUT, READ_TIMEOUT = 2.0, 4.0
"""Seconds, for one try at the webhook."""

TRIES, PAUSE, POST_LIMIT = 2, 1.0, 9.0
"""Tries at the webhook, seconds between them, and seconds for all: Dagster tells of five runs in one tick of 60."""


@dataclass(frozen=True, slots=True)
class RunNotification:
    """What is told of a run. `text` is the same in one line, under the name that chats look for."""

    text: str
    at: str
    run_id: str
    status: str
    job: str
    dataset: str | None
    manifest: str | None
    partition: str | None
    results: str | None
    reason: str
    started_again: bool


def send_notification(context: dg.RunStatusSensorContext) -> None:
    """Tell of the run that a sensor saw end.

    Each run is told of once; the tick in which that went wrong fails, and the next one goes on with the next run.

    Raises:
        RelayError: the log cannot be written, or the webhook does not take it. All else has been done.
    """
    run = context.dagster_run
    if run.tags.get(NOTED_TAG) == run.run_id:
        return
    note = describe(context.instance, run)
    context.log.warning(note.text)
    trouble = []
    for way in (_append, _post):
        try:
            way(note)
        except RelayError as error:
            trouble.append(str(error))
    if trouble:
        raise RelayError("; ".join(trouble))
    context.instance.add_run_tags(run.run_id, {NOTED_TAG: run.run_id})


def describe(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunNotification:
    """What there is to tell of a run that has ended."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    canceled = run.status is dg.DagsterRunStatus.CANCELED
    reason = "it was cancelled" if canceled else redact_text(failure_reason(instance, run.run_id).splitlines()[0])
    again = run.tags.get("dagster/will_retry") == "true"
    status = run.status.value
    about = f", dataset {run.tags[DATASET_TAG]}" if DATASET_TAG in run.tags else ""
    text = f"{at} {status} run {run.run_id} ({run.job_name}{about}): {reason}"
    return RunNotification(
        text=text + ("; it is started again" if again else ""),
        at=at,
        run_id=run.run_id,
        status=status,
        job=run.job_name,
        dataset=run.tags.get(DATASET_TAG),
        manifest=run.tags.get(MANIFEST_TAG),
        partition=run.tags.get("dagster/partition"),
        results=run.tags.get(RESULTS_TAG),
        reason=reason,
        started_again=again,
    )


def _append(note: RunNotification) -> None:
    """Add the line to `$IMGRELAY_FAILURES_LOG`, if it is set."""
    path = os.environ.get("IMGRELAY_FAILURES_LOG")
    if not path:
        return
    try:
        with Path(path).open("ab", buffering=0) as file:  # one write, so that lines of two processes do not mix
            file.write(f"{note.text}\n".encode())
    except OSError as error:
        raise RelayError(f"IMGRELAY_FAILURES_LOG {path!r} cannot be written: {error.strerror}") from None


def _post(note: RunNotification) -> None:
    """POST the note as JSON to `$IMGRELAY_WEBHOOK_URL`, if it is set."""
    url = os.environ.get("IMGRELAY_WEBHOOK_URL")
    if not url:
        return
    answers: list[str | None] = []
    # In a thread of its own, because a server that drips its answer is not stopped by any timeout of the client.
    thread = threading.Thread(target=lambda: answers.append(_tries(url, note)), daemon=True)
    thread.start()
    thread.join(POST_LIMIT)
    trouble = answers[0] if answers else f"no answer within {POST_LIMIT:.0f} s"
    if trouble:
        raise RelayError(f"the webhook at {_host(url)} was not told of run {note.run_id}: {trouble}")


def _tries(url: str, note: RunNotification) -> str | None:
    """What went wrong in the last try; None once the note was taken."""
    trouble = ""
    for number in range(TRIES):
        if number:
            time.sleep(PAUSE)
        try:
            with requests.Session() as session:
                session.trust_env = False  # no credentials from .netrc
                answer = session.post(
                    url,
                    json=asdict(note),
                    timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                    allow_redirects=False,
                    stream=True,
                )
                with closing(answer):
                    status = answer.status_code
        except (requests.RequestException, ValueError) as error:
            trouble = type(error).__name__  # whose message holds the address
            if isinstance(error, ValueError):  # no address at all
                return trouble
            continue
        if 200 <= status < 300:
            return None
        trouble = f"it answered {status}"
        if not transient_status(status):
            return trouble
    return trouble


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an address that is none"
