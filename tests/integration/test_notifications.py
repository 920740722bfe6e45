"""Notifications of failed and canceled runs, with a real webhook, in a Dagster instance without its daemon."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType

from imgrelay_dagster.definitions import relay_job
from imgrelay_dagster.defs import sensors
from imgrelay_dagster.monitoring import notifications
from imgrelay_dagster.relay.errors import RelayError
from tests.support.webhook import SECRET, Webhook

URLS = {"urls": ["http://h/a.jpg"]}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path_factory.mktemp("home"))) as instance:
        yield instance


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMGRELAY_FAILURES_LOG", str(tmp_path / "failures.log"))
    monkeypatch.delenv("IMGRELAY_WEBHOOK_URL", raising=False)
    return tmp_path / "failures.log"


@pytest.fixture
def failed(instance: dg.DagsterInstance) -> dg.DagsterRun:
    tags = {"imgrelay/dataset": "birds", "imgrelay/manifest": "s3://b/birds.csv", "imgrelay/results": "1 of 3"}
    run = instance.create_run_for_job(relay_job(), run_config=URLS, tags=tags)
    instance.report_run_failed(run, f"no bucket at http://me:{SECRET}@h/b?sig={SECRET}\nsecond line")
    return instance.get_run_by_id(run.run_id)


def notify(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Evaluate sensor `failed_runs` for one run, as the Dagster daemon does."""
    event = DagsterEvent(DagsterEventType.RUN_FAILURE.value, "relay")
    context = dg.build_run_status_sensor_context("failed_runs", event, instance, run)
    sensors.failed_runs(context)


def test_a_failed_run_is_one_line_in_the_log_and_one_post(
    instance: dg.DagsterInstance, failed: dg.DagsterRun, log: Path, monkeypatch: pytest.MonkeyPatch
):
    with Webhook() as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        notify(instance, failed)
    (post,) = hook.posts
    assert log.read_text() == post["text"] + "\n"
    assert post["text"].endswith(f" FAILURE run {failed.run_id} (relay, dataset birds): {post['reason']}")
    assert post["reason"].startswith("no bucket at http://h/b")
    fields = {name: post[name] for name in ("run_id", "status", "job", "dataset", "manifest", "partition", "results")}
    assert fields == {
        "run_id": failed.run_id,
        "status": "FAILURE",
        "job": "relay",
        "dataset": "birds",
        "manifest": "s3://b/birds.csv",
        "partition": None,
        "results": "1 of 3",
    }
    assert SECRET not in log.read_text() + str(post)


def test_a_tag_cannot_forge_a_line(instance: dg.DagsterInstance, log: Path, monkeypatch: pytest.MonkeyPatch):
    forged = "birds\n2026-01-01T00:00:00+00:00 FAILURE run 1\x1b[31m\u2028\u202e"
    tags = dict.fromkeys(("imgrelay/dataset", "imgrelay/manifest", "imgrelay/results", "dagster/partition"), forged)
    run = instance.create_run_for_job(relay_job(), run_config=URLS, tags=tags)
    instance.report_run_failed(run, "no bucket")
    with Webhook() as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        notify(instance, instance.get_run_by_id(run.run_id))
    assert len(log.read_text().splitlines()) == 1
    (post,) = hook.posts
    assert all(value.isprintable() for value in post.values() if isinstance(value, str))


def test_the_notification_of_a_retried_run_says_so(instance: dg.DagsterInstance, failed: dg.DagsterRun):
    instance.add_run_tags(failed.run_id, {"dagster/will_retry": "true"})
    run = instance.get_run_by_id(failed.run_id)
    assert run is not None
    notification = notifications.build_notification(instance, run)
    assert notification.started_again
    assert notification.text.endswith("; it is started again")


def test_a_webhook_with_a_transient_error_is_tried_again(
    instance: dg.DagsterInstance, failed: dg.DagsterRun, log: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(notifications, "RETRY_DELAY", 0.0)
    with Webhook(503, 204) as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        notify(instance, failed)
    assert len(hook.posts) == 2


@pytest.mark.parametrize(
    ("answers", "posts", "error"),
    [((404,), 1, "it answered 404"), ((500,), 2, "it answered 500"), ((302,), 1, "it answered 302")],
)
def test_a_webhook_that_refuses_is_named_without_its_secret(
    instance: dg.DagsterInstance,
    failed: dg.DagsterRun,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: tuple[int, ...],
    posts: int,
    error: str,
):
    monkeypatch.setattr(notifications, "RETRY_DELAY", 0.0)
    with Webhook(*answers) as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        with pytest.raises(RelayError) as caught:
            notify(instance, failed)
    assert str(caught.value) == (
        f"the webhook at 127.0.0.1 did not accept the notification of run {failed.run_id}: {error}"
    )
    assert len(hook.posts) == posts
    assert log.read_text().count("\n") == 1
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)  # Dagster would show them with the URL


def test_a_webhook_that_never_ends_its_response_is_abandoned(
    instance: dg.DagsterInstance, failed: dg.DagsterRun, log: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(notifications, "POST_TIMEOUT", 0.5)
    with Webhook("drip") as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        with pytest.raises(RelayError, match="no answer within 0 s"):
            notify(instance, failed)


@pytest.mark.parametrize(
    "url", ["hooks/T0k3n-in-the-path", "http://[T0k3n-in-the-path", "ftp://h/T0k3n-in-the-path", ""]
)
def test_an_invalid_webhook_url_is_not_shown(
    instance: dg.DagsterInstance, failed: dg.DagsterRun, log: Path, monkeypatch: pytest.MonkeyPatch, url: str
):
    if not url:  # an address where no server listens
        with socket.create_server(("127.0.0.1", 0)) as free:
            url = f"http://127.0.0.1:{free.getsockname()[1]}/{SECRET}"
    monkeypatch.setattr(notifications, "RETRY_DELAY", 0.0)
    monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", url)
    with pytest.raises(RelayError, match=r"the webhook at .* did not accept the notification of run") as caught:
        notify(instance, failed)
    assert SECRET not in str(caught.value)


def test_the_webhook_is_notified_if_the_log_cannot_be_written(
    instance: dg.DagsterInstance, failed: dg.DagsterRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGRELAY_FAILURES_LOG", str(tmp_path))
    with Webhook() as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        with pytest.raises(RelayError, match=r"IMGRELAY_FAILURES_LOG .* cannot be written: Is a directory"):
            notify(instance, failed)
    assert len(hook.posts) == 1


@pytest.mark.parametrize(("template", "path"), [("slack", "text"), ("discord", "content"), ("teams", "attachments")])
def test_a_success_is_posted_as_a_chat_service_wants_it(
    instance: dg.DagsterInstance, log: Path, monkeypatch: pytest.MonkeyPatch, template: str, path: str
):
    tags = {"imgrelay/dataset": 'birds "of" <!channel>', "imgrelay/results": "3 of 4, 1 failed"}
    run = instance.create_run_for_job(relay_job(), run_config=URLS, tags=tags)
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_SUCCESS.value, "relay"), run.run_id)
    monkeypatch.setenv("IMGRELAY_WEBHOOK_TEMPLATE", template)
    with Webhook() as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        event = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, "relay")
        succeeded = instance.get_run_by_id(run.run_id)
        sensors.succeeded_runs(dg.build_run_status_sensor_context("succeeded_runs", event, instance, succeeded))
    (post,) = hook.posts
    assert f'SUCCESS run {run.run_id} (relay, dataset birds \\"of\\"' in json.dumps(post[path])
    assert "3 of 4, 1 failed" in json.dumps(post[path])
    assert template != "slack" or "<!channel>" not in post["text"]
    assert not log.exists()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "cannot be read: No such file or directory; give a file, or one of discord, slack, teams"),
        ('{"text": {{ text }}}', "does not make JSON: "),
        ('{"text": {{ txt | tojson }}}', "'txt' is not a field; the fields are text, at, run_id"),
        ("{% if %}", ", line 1: "),
    ],
)
def test_a_template_that_cannot_be_used_is_named(
    instance: dg.DagsterInstance,
    failed: dg.DagsterRun,
    log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    error: str,
):
    template = tmp_path / "chat.json"
    if text is not None:
        template.write_text(text)
    monkeypatch.setenv("IMGRELAY_WEBHOOK_TEMPLATE", str(template))
    with Webhook() as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        with pytest.raises(RelayError) as caught:
            notify(instance, failed)
    assert hook.posts == []
    assert f"IMGRELAY_WEBHOOK_TEMPLATE '{template}'" in str(caught.value)
    assert error in str(caught.value)
