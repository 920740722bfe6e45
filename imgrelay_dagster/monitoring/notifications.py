"""Notifications of runs that ended: of those that failed a line in a log file, of all a POST to a webhook.

The URL of a webhook is a secret, its path above all, so messages show only its host.
"""

import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import requests
from dagster._core.storage.tags import WILL_RETRY_TAG

from imgrelay_dagster.config import environment
from imgrelay_dagster.monitoring.failure_reason import failure_reason
from imgrelay_dagster.monitoring.webhook_body import webhook_body
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.backoff import is_transient_status
from imgrelay_dagster.relay.redact import redact_text
from imgrelay_dagster.runs.tags import DATASET_TAG, MANIFEST_TAG, NOTIFIED_TAG, PARTITION_TAG, RESULTS_TAG

CONNECT_TIMEOUT, READ_TIMEOUT = 2.0, 4.0
"""Seconds, for one attempt to reach the webhook."""

ATTEMPTS, RETRY_DELAY, POST_TIMEOUT = 2, 1.0, 9.0
"""Attempts to reach the webhook, seconds between them, and seconds for all of them.

Dagster reports up to five runs in one tick, which must not take longer than 60 seconds.
"""


@dataclass(frozen=True, slots=True)
class RunNotification:
    """The body of the POST. `text` is a summary in one line; chat services show the field of that name."""

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
    """Send the notification of the run that ended, once for each run.

    If it cannot be sent, the tick fails, and in the next tick the sensor continues with the next run.

    Raises:
        RelayError: the log cannot be written, or the webhook did not accept it. Both were tried.
    """
    run = context.dagster_run
    if run.tags.get(NOTIFIED_TAG) == run.run_id:
        return
    notification = build_notification(context.instance, run)
    succeeded = run.status is dg.DagsterRunStatus.SUCCESS
    (context.log.info if succeeded else context.log.warning)(notification.text)
    errors = []
    for send in (_post_to_webhook,) if succeeded else (_append_to_log, _post_to_webhook):
        try:
            send(notification)
        except RelayError as error:
            errors.append(str(error))
    if errors:
        raise RelayError("; ".join(errors))
    context.instance.add_run_tags(run.run_id, {NOTIFIED_TAG: run.run_id})


def build_notification(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunNotification:
    """The notification of a run that has ended."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    will_retry = run.tags.get(WILL_RETRY_TAG) == "true"
    status = run.status.value
    # Anybody who launches a run can set its tags: a line break in one would forge a line of the log.
    tags = {name: redact_text(value) for name, value in run.tags.items()}
    reason = _reason(instance, run, tags.get(RESULTS_TAG))
    dataset = f", dataset {tags[DATASET_TAG]}" if DATASET_TAG in tags else ""
    text = f"{at} {status} run {run.run_id} ({run.job_name}{dataset}): {reason}"
    return RunNotification(
        text=text + ("; it is started again" if will_retry else ""),
        at=at,
        run_id=run.run_id,
        status=status,
        job=run.job_name,
        dataset=tags.get(DATASET_TAG),
        manifest=tags.get(MANIFEST_TAG),
        partition=tags.get(PARTITION_TAG),
        results=tags.get(RESULTS_TAG),
        reason=reason,
        started_again=will_retry,
    )


def _reason(instance: dg.DagsterInstance, run: dg.DagsterRun, results: str | None) -> str:
    """Why the run ended as it did; of a successful run its counts."""
    if run.status is dg.DagsterRunStatus.CANCELED:
        return "it was canceled"
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return results or "it succeeded"
    return redact_text(failure_reason(instance, run.run_id).splitlines()[0])


def _append_to_log(notification: RunNotification) -> None:
    """Append the notification as one line to `$IMGRELAY_FAILURES_LOG`, if it is set."""
    path = environment.FAILURES_LOG.get()
    if not path:
        return
    try:
        with Path(path).open("ab", buffering=0) as file:  # one write, so that lines of two processes do not mix
            file.write(f"{notification.text}\n".encode())
    except OSError as error:
        raise RelayError(f"IMGRELAY_FAILURES_LOG {path!r} cannot be written: {error.strerror}") from None


def _post_to_webhook(notification: RunNotification) -> None:
    """POST the notification as JSON to `$IMGRELAY_WEBHOOK_URL`, if it is set."""
    url = environment.WEBHOOK_URL.get()
    if not url:
        return
    body = webhook_body(environment.WEBHOOK_TEMPLATE.get(), asdict(notification))
    results: list[str | None] = []
    # In its own thread, because no timeout of the client stops a server that sends its response byte by byte.
    thread = threading.Thread(target=lambda: results.append(_post_with_retries(url, body)), daemon=True)
    thread.start()
    thread.join(POST_TIMEOUT)
    error = results[0] if results else f"no answer within {POST_TIMEOUT:.0f} s"
    if error:
        host, run_id = _webhook_host(url), notification.run_id
        raise RelayError(f"the webhook at {host} did not accept the notification of run {run_id}: {error}")


def _post_with_retries(url: str, body: bytes) -> str | None:
    """POST the body; retry after a transient error.

    Returns:
        The error of the last attempt; None if the webhook accepted the notification.
    """
    message = ""
    for number in range(ATTEMPTS):
        if number:
            time.sleep(RETRY_DELAY)
        try:
            with requests.Session() as session:
                session.trust_env = False  # no credentials from .netrc
                response = session.post(
                    url,
                    data=body,
                    headers={"Content-Type": "application/json"},
                    timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                    allow_redirects=False,
                    stream=True,
                )
                with closing(response):
                    status = response.status_code
        except (requests.RequestException, ValueError) as error:
            message = type(error).__name__  # its own message contains the URL
            if isinstance(error, ValueError):  # the URL is invalid
                return message
            continue
        if 200 <= status < 300:
            return None
        message = f"it answered {status}"
        if not is_transient_status(status):
            return message
    return message


def _webhook_host(url: str) -> str:
    """The host of the webhook's URL, for messages."""
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an invalid address"
