"""What a stage needs not do again, and how much of its work it holds in memory."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.downloader import Downloader
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.stages import upload
from imgrelay_dagster.relay.stages.download import download_task
from imgrelay_dagster.relay.stages.restart import Restart
from imgrelay_dagster.relay.staging.originals import url_digest
from imgrelay_dagster.relay.staging.packs import PackReader, PackWriter
from imgrelay_dagster.relay.storage.objects import put_object
from tests.support.hostile_origin import HostileOrigin
from tests.support.stage_runner import StageRunner, task_of


@pytest.fixture(scope="module")
def origin() -> Iterator[HostileOrigin]:
    found = picture("jpeg/small-dawn.jpg")
    with HostileOrigin({"/x.jpg": (found.data, found.media_type)}) as server:
        yield server


@pytest.fixture
def stages(tmp_path: Path) -> StageRunner:
    return StageRunner(tmp_path / "staging")


def test_a_killed_download_step_downloads_only_what_is_left(stages: StageRunner, origin: HostileOrigin) -> None:
    task = task_of(*(origin.url(f"/latency/1/restart-{number}/x.jpg") for number in range(6)))
    body = picture("jpeg/small-dawn.jpg").data
    digests = {record.entry: url_digest(record.url) for record in task.records}
    killed = PackWriter(stages.staging, task.name, Stage.DOWNLOAD, digests=digests)  # never closed, as after a kill
    done = task.records[:4]
    for record in done:
        killed.add(record.entry, body)

    context = replace(stages.context(Stage.DOWNLOAD), restart=Restart(stages.staging, "download-lines"))
    with (
        context.receipts,
        Downloader(stages.settings.limits, AddressGuard(["127.0.0.1"]), stop=stages.stop) as downloader,
    ):
        downloaded = download_task(task, context, downloader)
    asked = Counter({target: count for target, count in origin.hits.items() if "restart-" in target})
    assert asked == Counter({f"/latency/1/restart-{number}/x.jpg": 1 for number in (4, 5)})
    reader = PackReader(stages.staging, downloaded)
    assert [reader.read(record.entry) for record in downloaded.records] == [body] * 6
    assert {(record.bytes_in, record.attempts) for record in downloaded.records} == {(len(body), 1)}
    assert stages.upload(stages.compose(downloaded)).records == ()
    assert stages.staged() == []


def test_an_upload_step_holds_only_a_few_large_images_at_the_same_time(
    stages: StageRunner, origin: HostileOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = stages.compose(stages.download(task_of(*(origin.url(f"/x.jpg?large={n}") for n in range(20)))))
    size = task.records[0].bytes_out
    assert size is not None
    monkeypatch.setattr(upload, "BODY_BUDGET", 3 * size + 1)
    lock, open_now, most = threading.Lock(), 0, 0

    def counting_put(*arguments: Any, **options: Any) -> None:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        time.sleep(0.02)
        put_object(*arguments, **options)
        with lock:
            open_now -= 1

    monkeypatch.setattr(upload, "put_object", counting_put)
    assert stages.upload(task).records == ()
    assert most == 3
    assert len(stages.receipts()) == 20
