"""Stages: entries that end get receipts, slow downloads are deferred, and staging is empty afterwards."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore
from PIL import Image

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Stage, entry_number
from imgrelay_dagster.relay.progress.notes import read_progress
from imgrelay_dagster.relay.stages.composer import Composer
from imgrelay_dagster.relay.stages.upload import upload_task
from imgrelay_dagster.relay.staging.tasks import Task
from tests.support.hostile_origin import HostileOrigin
from tests.support.stage_runner import LIMITS, StageRunner, task_of


def jpeg() -> bytes:
    data = io.BytesIO()
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(data, "JPEG")
    return data.getvalue()


@pytest.fixture(scope="module")
def hostile() -> Iterator[HostileOrigin]:
    with HostileOrigin({"/ok.jpg": (jpeg(), "image/jpeg"), "/x.jpg": (jpeg(), "image/jpeg")}) as server:
        yield server


@pytest.fixture
def stages(tmp_path: Path) -> StageRunner:
    return StageRunner(tmp_path / "staging")


def test_each_entry_gets_a_receipt_in_the_stage_where_it_ends(stages: StageRunner, hostile: HostileOrigin):
    task = task_of(hostile.url("/ok.jpg"), hostile.url("/status/404"), hostile.url("/html"), hostile.url("/ok.jpg?2"))
    downloaded = stages.download(task)
    assert [record.line for record in downloaded.records] == [1, 3, 4]
    composed = stages.compose(downloaded)
    assert [record.line for record in composed.records] == [1, 4]
    assert stages.upload(composed).records == ()
    found = stages.receipts()
    assert {line: record.reason for line, record in found.items()} == {
        1: None,
        2: Reason.HTTP_STATUS,
        3: Reason.UNSUPPORTED_FORMAT,
        4: None,
    }
    assert found[1].outcome is Outcome.UPLOADED
    assert (found[1].width, found[1].height, found[1].attempts, found[1].http_status) == (64, 48, 1, 200)
    assert len(bytes(stages.store.get("k/1.jpg").bytes())) == found[1].bytes_out
    assert stages.staged() == []
    progress = read_progress(stages.staging)
    assert progress.passed == {Stage.DOWNLOAD: 3, Stage.COMPOSE: 2, Stage.UPLOAD: 2}
    assert (progress.failed, progress.ended) == (2, 4)


def test_an_entry_fails_if_the_template_changed_after_planning(stages: StageRunner, hostile: HostileOrigin):
    downloaded = stages.download(task_of(hostile.url("/ok.jpg"), hostile.url("/ok.jpg?2")))
    first, second = downloaded.records
    composed = stages.compose(replace(downloaded, records=(replace(first, fingerprint="another"), second)))
    assert [record.line for record in composed.records] == [2]
    failed = stages.receipts()[1]
    assert failed.reason is Reason.TEMPLATE_MISSING
    assert failed.detail == "template 'frame.png' was changed while the run worked; launch the manifest again"


def test_hanging_downloads_are_deferred_and_the_others_continue(stages: StageRunner, hostile: HostileOrigin):
    good = [hostile.url(f"/ok.jpg?{number}") for number in range(40)]
    hanging = [hostile.url("/never?1"), hostile.url("/headers-then-hang"), hostile.url("/drip?1")]
    task = task_of(*good[:20], *hanging, *good[20:])
    downloaded = stages.download(task)
    assert len(downloaded.records) == 40
    assert [
        (record.line, record.attempts) for record in sorted(downloaded.deferred, key=lambda record: record.line)
    ] == [
        (21, 1),
        (22, 1),
        (23, 1),
    ]
    assert stages.upload(stages.compose(downloaded)).deferred == downloaded.deferred
    assert len(stages.receipts()) == 40
    last = stages.download(Task("deferred_1", downloaded.deferred), last_chance=True)
    assert (last.records, last.deferred) == ((), ())
    reasons = {line: (record.reason, record.attempts) for line, record in stages.receipts().items() if record.reason}
    assert reasons == dict.fromkeys((21, 22, 23), (Reason.TIMEOUT, 2))


def test_a_slow_download_succeeds_at_its_last_chance(stages: StageRunner, hostile: HostileOrigin):
    task = task_of(*[hostile.url(f"/ok.jpg?{number}") for number in range(9)], hostile.url("/latency/2900/x.jpg"))
    downloaded = stages.download(task)
    assert [record.line for record in downloaded.deferred] == [10]
    last = stages.download(Task("deferred_1", downloaded.deferred), last_chance=True)
    assert [(record.line, record.attempts) for record in last.records] == [(10, 2)]


def test_a_host_that_always_answers_late_is_asked_once(stages: StageRunner, hostile: HostileOrigin):
    with HostileOrigin({"/x.jpg": (jpeg(), "image/jpeg")}) as far:
        near = [hostile.url(f"/ok.jpg?{number}") for number in range(30)]
        late = [far.url(f"/latency/2000/{number}/x.jpg") for number in range(20)]
        downloaded = stages.download(task_of(*near, *late))
        assert (len(downloaded.records), downloaded.deferred) == (50, ())
        assert far.hits.total() == len(late)


def test_a_long_retry_after_defers_the_download_until_the_pause_is_over(
    stages: StageRunner, hostile: HostileOrigin, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imgrelay_dagster.relay.fetch.adaptive_timeout.INITIAL_TIMEOUT", 2.0)
    task = task_of(*[hostile.url(f"/ok.jpg?{number}") for number in range(5)], hostile.url("/retry-after/4/ok.jpg"))
    began = time.time()
    downloaded = stages.download(task)
    assert [(record.line, record.attempts) for record in downloaded.deferred] == [(6, 1)]
    assert downloaded.retry_at.keys() == {entry_number(6, 0)}
    assert downloaded.retry_at[entry_number(6, 0)] >= began + 4
    last = stages.download(Task("deferred_1", downloaded.deferred, retry_at=downloaded.retry_at), last_chance=True)
    assert time.time() >= downloaded.retry_at[entry_number(6, 0)]
    assert [(record.line, record.attempts, record.http_status) for record in last.records] == [(6, 2, 200)]


def test_attempts_counts_the_requests_before_and_after_a_deferral(stages: StageRunner, hostile: HostileOrigin):
    """With one attempt allowed, a deferred download is still requested once more."""
    stages.settings = replace(stages.settings, limits=replace(LIMITS, attempts=1))
    slow = hostile.url("/latency/2900/counted.jpg")
    downloaded = stages.download(task_of(*[hostile.url(f"/ok.jpg?{number}") for number in range(9)], slow))
    last = stages.download(Task("deferred_1", downloaded.deferred), last_chance=True)
    assert [record.attempts for record in last.records] == [hostile.hits["/latency/2900/counted.jpg"]] == [2]


def test_a_download_that_waits_for_a_hanging_url_of_its_host_is_not_deferred(
    stages: StageRunner, hostile: HostileOrigin
):
    stages.settings = replace(stages.settings, limits=replace(LIMITS, per_host=1))
    good = [hostile.url(f"/ok.jpg?{number}") for number in range(20)]
    downloaded = stages.download(task_of(*good[:10], hostile.url("/never?5"), hostile.url("/never?6"), *good[10:]))
    assert [record.line for record in downloaded.deferred] == [11, 12]
    assert len(downloaded.records) == 20


def test_a_task_of_hanging_urls_only_is_soon_deferred(
    stages: StageRunner, hostile: HostileOrigin, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imgrelay_dagster.relay.fetch.adaptive_timeout.INITIAL_TIMEOUT", 4.0)
    monkeypatch.setattr("imgrelay_dagster.relay.fetch.adaptive_timeout.MIN_TIMEOUT", 0.4)
    stages.settings = replace(stages.settings, limits=replace(LIMITS, read_timeout=60.0, deadline=60.0))
    began = time.monotonic()
    downloaded = stages.download(task_of(*[hostile.url(f"/never?{number}") for number in range(40)]))
    assert len(downloaded.deferred) == 40
    assert time.monotonic() - began < 12, "five rounds of 4 s"


def test_last_chances_at_one_host_run_concurrently(stages: StageRunner, hostile: HostileOrigin):
    stages.settings = replace(stages.settings, limits=replace(LIMITS, per_host=8, attempts=3), max_concurrent=3)
    hanging = task_of(*[hostile.url(f"/never?late{number}") for number in range(24)])
    deferred = replace(hanging, records=tuple(replace(record, attempts=1) for record in hanging.records))
    began = time.monotonic()
    stages.download(deferred, last_chance=True)
    assert time.monotonic() - began < 2 * LIMITS.read_timeout
    ended = {(record.reason, record.attempts) for record in stages.receipts().values()}
    assert ended == {(Reason.TIMEOUT, 2)}


def test_a_retried_step_skips_entries_that_have_receipts(stages: StageRunner, hostile: HostileOrigin):
    composed = stages.compose(stages.download(task_of(hostile.url("/ok.jpg"), hostile.url("/ok.jpg?2"))))
    stages.upload(replace(composed, records=composed.records[:1]))
    with pytest.raises(RelayError, match="failed at"):
        stages.upload(composed)
    assert stages.upload(composed, settled=frozenset({entry_number(1, 0), entry_number(2, 0)})).records == ()


def test_an_unexpected_exception_becomes_an_internal_error_of_its_entry(
    stages: StageRunner, hostile: HostileOrigin, monkeypatch: pytest.MonkeyPatch
):
    real = Composer.compose

    def failing_compose(composer: Composer, data: bytes, *rest: Any) -> object:
        if data != jpeg():
            raise ZeroDivisionError("a bug")
        return real(composer, data, *rest)

    downloaded = stages.download(task_of(hostile.url("/ok.jpg"), hostile.url("/html")))
    monkeypatch.setattr(Composer, "compose", failing_compose)
    assert [record.line for record in stages.compose(downloaded).records] == [1]
    found = stages.receipts()[2]
    assert (found.outcome, found.reason) == (Outcome.FAILED, Reason.INTERNAL_ERROR)
    assert found.detail == "ZeroDivisionError in compose: a bug"


def test_a_store_outage_ends_the_stage(stages: StageRunner, hostile: HostileOrigin, tmp_path: Path):
    composed = stages.compose(stages.download(task_of(*[hostile.url(f"/ok.jpg?{number}") for number in range(60)])))
    (tmp_path / "gone").mkdir()
    for folder in ("k", "_relay"):
        (tmp_path / "gone" / folder).write_text("a file where the folder of the keys should be")
    stages.store = LocalStore(tmp_path / "gone")  # type: ignore[assignment]
    context = stages.context(Stage.UPLOAD)
    with pytest.raises(RelayError, match=r"took none of the last \d\d images, nor a receipt"):
        upload_task(composed, context, stages.store)
    assert 0 < context.receipts.counts["failed"] <= 60


def test_keys_that_the_store_rejects_do_not_stop_the_others(
    stages: StageRunner, hostile: HostileOrigin, tmp_path: Path
):
    composed = stages.compose(stages.download(task_of(*[hostile.url(f"/ok.jpg?{number}") for number in range(60)])))
    (tmp_path / "out" / "k").mkdir(parents=True)
    (tmp_path / "out" / "k" / "1.jpg").write_text("a file where the folder of the keys should be")
    stages.store = LocalStore(tmp_path / "out")  # type: ignore[assignment]
    below = [replace(record, key=f"k/1.jpg/{record.line}.jpg") for record in composed.records[:50]]
    stages.upload(replace(composed, records=(*below, *composed.records[50:])))
    outcomes = {line: record.reason for line, record in stages.receipts().items()}
    assert outcomes == {line: Reason.UPLOAD_ERROR if line <= 50 else None for line in range(1, 61)}
    refused, stored = stages.receipts()[1], stages.receipts()[60]
    assert (refused.bytes_out, refused.width, refused.height, refused.sha256) == (None,) * 4  # nothing is stored
    assert (refused.bytes_in, refused.http_status) == (stored.bytes_in, 200)
    assert (stored.width, stored.height) == (64, 48)


def test_a_task_that_is_full_leaves_its_other_entries_for_its_next_part(
    stages: StageRunner, hostile: HostileOrigin, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imgrelay_dagster.relay.stages.download.PART_BYTES", 2 * len(jpeg()))
    task = task_of(*(hostile.url(f"/latency/20/{number}/ok.jpg") for number in range(60)))
    seen: list[int] = []
    part = task
    while part.records:
        downloaded = stages.download(part)
        assert not downloaded.deferred
        assert 0 < len(downloaded.records) <= 2 + LIMITS.threads
        seen += [record.line for record in downloaded.records]
        stages.upload(stages.compose(downloaded))
        assert not stages.staged()
        part = downloaded.next_part(task.name)
    assert sorted(seen) == [record.line for record in task.records]
    assert {record.outcome for record in stages.receipts().values()} == {Outcome.UPLOADED}
    assert len(list(chain.from_iterable(stages.store.list("k")))) == 60
