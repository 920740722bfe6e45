"""Telling of runs that failed or were cancelled, with a real webhook, on a real instance without its daemon."""

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
from tests.support.hooks import SECRET, Webhook

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


def tell(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """What the daemon has a sensor do for one run."""
    event = DagsterEvent(DagsterEventType.RUN_FAILURE.value, "relay")
    context = dg.build_run_status_sensor_context("failed_runs", event, instance, run)
    sensors.failed_runs(context)


def test_a_failed_run_is_one_line_and_one_post(
    instance: dg.DagsterInstance, failed: dg.DagsterRun, log: Path, monkeypatch: pytest.MonkeyPatch
):
    with Webhook() as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        tell(instance, failed)
    (post,) = hook.posts
    assert log.read_text() == post["text"] + "\n"
    assert post["text"].endswith(f" FAILURE run {failed.run_id} (relay, dataset birds): {post['reason']}")
    assert post["reason"].startswith("no bucket at http://h/b")
    told = {name: post[name] for name in ("run_id", "status", "job", "dataset", "manifest", "partition", "results")}
    assert told == {
        "run_id": failed.run_id,
        "status": "FAILURE",
        "job": "relay",
        "dataset": "birds",
        "manifest": "s3://b/birds.csv",
        "partition": None,
        "results": "1 of 3",
    }
    assert SECRET not in log.read_text() + str(post)


def test_a_run_that_is_started_again_says_so(instance: dg.DagsterInstance, failed: dg.DagsterRun):
    instance.add_run_tags(failed.run_id, {"dagster/will_retry": "true"})
    run = instance.get_run_by_id(failed.run_id)
    assert run is not None
    note = notifications.describe(instance, run)
    assert note.started_again
    assert note.text.endswith("; it is started again")


def test_a_webhook_that_stumbles_is_tried_again(
    instance: dg.DagsterInstance, failed: dg.DagsterRun, log: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(notifications, "PAUSE", 0.0)
    with Webhook(503, 204) as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        tell(instance, failed)
    assert len(hook.posts) == 2


@pytest.mark.parametrize(
    ("answers", "posts", "said"),
    [((404,), 1, "it answered 404"), ((500,), 2, "it answered 500"), ((302,), 1, "it answered 302")],
)
def test_a_webhook_that_does_not_take_it_is_named_without_its_secret(
    instance: dg.DagsterInstance,
    failed: dg.DagsterRun,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: tuple[int, ...],
    posts: int,
    said: str,
):
    monkeypatch.setattr(notifications, "PAUSE", 0.0)
    with Webhook(*answers) as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        with pytest.raises(RelayError) as caught:
            tell(instance, failed)
    assert str(caught.value) == f"the webhook at 127.0.0.1 was not told of run {failed.run_id}: {said}"
    assert len(hook.posts) == posts
    assert log.read_text().count("\n") == 1
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)  # which would be shown, address and all


def test_a_webhook_that_never_ends_its_answer_is_left(
    instance: dg.DagsterInstance, failed: dg.DagsterRun, log: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(notifications, "POST_LIMIT", 0.5)
    with Webhook("drip") as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        with pytest.raises(RelayError, match="no answer within 0 s"):
            tell(instance, failed)


@pytest.mark.parametrize(
    "url", ["hooks/T0k3n-in-the-path", "http://[T0k3n-in-the-path", "ftp://h/T0k3n-in-the-path", ""]
)
def test_a_webhook_address_that_is_none_is_not_shown(
    instance: dg.DagsterInstance, failed: dg.DagsterRun, log: Path, monkeypatch: pytest.MonkeyPatch, url: str
):
    if not url:  # nobody listens there
        with socket.create_server(("127.0.0.1", 0)) as free:
            url = f"http://127.0.0.1:{free.getsockname()[1]}/{SECRET}"
    monkeypatch.setattr(notifications, "PAUSE", 0.0)
    monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", url)
    with pytest.raises(RelayError, match=r"the webhook at .* was not told of run") as caught:
        tell(instance, failed)
    assert SECRET not in str(caught.value)


def test_a_log_that_cannot_be_written_does_not_keep_the_webhook_from_being_told(
    instance: dg.DagsterInstance, failed: dg.DagsterRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGRELAY_FAILURES_LOG", str(tmp_path))
    with Webhook() as hook:
        monkeypatch.setenv("IMGRELAY_WEBHOOK_URL", hook.url)
        with pytest.raises(RelayError, match=r"IMGRELAY_FAILURES_LOG .* cannot be written: Is a directory"):
            tell(instance, failed)
    assert len(hook.posts) == 1
