"""A task through its stages: what ends is written down, what hangs is set aside, nothing is left in staging."""

import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore
from PIL import Image

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.adaptive_timeout import LEAST, UNKNOWN, AdaptiveTimeout
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.downloader import Downloader, Limits
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Stage
from imgrelay_dagster.relay.progress.notes import StepCounts, StepProgress, read_progress
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.receipts import read_receipts
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.stages import compose as compose_stage
from imgrelay_dagster.relay.stages.compose import compose_task
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.download import download_task
from imgrelay_dagster.relay.stages.upload import upload_task
from imgrelay_dagster.relay.staging import packs
from imgrelay_dagster.relay.staging.packs import PackReader, PackWriter
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import Task
from tests.support.hostile import HostileOrigin

LIMITS = Limits(read_timeout=4.0, deadline=4.0, attempts=2, backoff=0.01, threads=8)
PREFIX = "_relay/birds/receipts/run1"


def jpeg() -> bytes:
    data = io.BytesIO()
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(data, "JPEG")
    return data.getvalue()


@pytest.fixture(scope="module")
def hostile() -> Iterator[HostileOrigin]:
    with HostileOrigin({"/ok.jpg": (jpeg(), "image/jpeg"), "/x.jpg": (jpeg(), "image/jpeg")}) as server:
        yield server


class Shop:
    """One run's engine parts, in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.folder = folder
        self.staging = Staging(LocalStore(folder, mkdir=True), "run1")
        self.settings = Settings(dataset="birds", destination="memory", limits=LIMITS)
        self.stop = threading.Event()

    def bench(self, stage: Stage, settled: frozenset[int] = frozenset()) -> StageContext:
        return StageContext(
            settings=self.settings,
            staging=self.staging,
            receipts=ReceiptWriter(self.store, PREFIX, f"{stage}-{threading.get_ident()}-{id(object())}"),
            progress=StepProgress(self.staging, stage.value, StepCounts(stage, 0)),
            stop=self.stop,
            settled=settled,
        )

    def download(self, task: Task, **options: bool) -> Task:
        bench = self.bench(Stage.DOWNLOAD)
        with (
            bench.receipts,
            Downloader(self.settings.limits, AddressGuard(["127.0.0.1"]), stop=self.stop) as downloader,
        ):
            return download_task(task, bench, downloader, **options)

    def compose(self, task: Task) -> Task:
        bench = self.bench(Stage.COMPOSE)
        with bench.receipts:
            return compose_task(task, bench, TemplateFolder.shipped())

    def upload(self, task: Task, settled: frozenset[int] = frozenset()) -> Task:
        bench = self.bench(Stage.UPLOAD, settled)
        with bench.receipts:
            return upload_task(task, bench, self.store)

    def receipts(self) -> dict[int, Record]:
        return {record.line: record for record in read_receipts(self.store, PREFIX)}

    def staged(self) -> list[str]:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.folder)) for path in files if "notes" not in path.parts)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "staging")


def task_of(*urls: str) -> Task:
    digest = TemplateFolder.shipped().load("frame.png").digest
    fingerprint = partial(Settings(dataset="birds", destination="memory").fingerprints(), template_digest=digest)
    records = [
        Record(line, url, key=f"k/{line}.jpg", fingerprint=fingerprint(url=url), template="frame.png")
        for line, url in enumerate(urls, 1)
    ]
    return Task("lines", tuple(records))


def test_each_entry_ends_where_it_ends(shop: Shop, hostile: HostileOrigin):
    task = task_of(hostile.url("/ok.jpg"), hostile.url("/status/404"), hostile.url("/html"), hostile.url("/ok.jpg?2"))
    downloaded = shop.download(task)
    assert [record.line for record in downloaded.records] == [1, 3, 4]
    composed = shop.compose(downloaded)
    assert [record.line for record in composed.records] == [1, 4]
    assert shop.upload(composed).records == ()
    found = shop.receipts()
    assert {line: record.reason for line, record in found.items()} == {
        1: None,
        2: Reason.HTTP_STATUS,
        3: Reason.UNSUPPORTED_FORMAT,
        4: None,
    }
    assert found[1].outcome is Outcome.UPLOADED
    assert (found[1].width, found[1].height, found[1].attempts, found[1].http_status) == (64, 48, 1, 200)
    assert len(bytes(shop.store.get("k/1.jpg").bytes())) == found[1].bytes_out
    assert shop.staged() == []
    progress = read_progress(shop.staging)
    assert progress.passed == {Stage.DOWNLOAD: 3, Stage.COMPOSE: 2, Stage.UPLOAD: 2}
    assert (progress.failed, progress.ended) == (2, 4)


def test_what_was_planned_with_another_template_is_not_relayed_with_this_one(shop: Shop, hostile: HostileOrigin):
    downloaded = shop.download(task_of(hostile.url("/ok.jpg"), hostile.url("/ok.jpg?2")))
    first, second = downloaded.records
    composed = shop.compose(replace(downloaded, records=(replace(first, fingerprint="of another"), second)))
    assert [record.line for record in composed.records] == [2]
    failed = shop.receipts()[1]
    assert failed.reason is Reason.TEMPLATE_MISSING
    assert failed.detail == "template 'frame.png' was changed while the run worked; launch the manifest again"


def test_what_hangs_is_set_aside_and_the_others_go_on(shop: Shop, hostile: HostileOrigin):
    good = [hostile.url(f"/ok.jpg?{number}") for number in range(40)]
    hanging = [hostile.url("/never?1"), hostile.url("/headers-then-hang"), hostile.url("/drip?1")]
    task = task_of(*good[:20], *hanging, *good[20:])
    downloaded = shop.download(task)
    assert len(downloaded.records) == 40
    assert [(record.line, record.attempts) for record in sorted(downloaded.late, key=lambda late: late.line)] == [
        (21, 1),
        (22, 1),
        (23, 1),
    ]
    assert shop.upload(shop.compose(downloaded)).late == downloaded.late
    assert len(shop.receipts()) == 40
    last = shop.download(Task("late_1", downloaded.late), last_chance=True)
    assert (last.records, last.late) == ((), ())
    reasons = {line: (record.reason, record.attempts) for line, record in shop.receipts().items() if record.reason}
    assert reasons == dict.fromkeys((21, 22, 23), (Reason.TIMEOUT, 2))


def test_what_only_was_slow_is_relayed_at_its_last_chance(shop: Shop, hostile: HostileOrigin):
    task = task_of(*[hostile.url(f"/ok.jpg?{number}") for number in range(9)], hostile.url("/latency/2900/x.jpg"))
    downloaded = shop.download(task)
    assert [record.line for record in downloaded.late] == [10]
    last = shop.download(Task("late_1", downloaded.late), last_chance=True)
    assert [(record.line, record.attempts) for record in last.records] == [(10, 2)]


def test_a_server_that_asks_for_a_long_pause_is_asked_later_and_not_before_it_is_over(
    shop: Shop, hostile: HostileOrigin, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imgrelay_dagster.relay.fetch.adaptive_timeout.UNKNOWN", 2.0)
    task = task_of(*[hostile.url(f"/ok.jpg?{number}") for number in range(5)], hostile.url("/retry-after/4/ok.jpg"))
    began = time.time()
    downloaded = shop.download(task)
    assert [(record.line, record.attempts) for record in downloaded.late] == [(6, 1)]
    assert downloaded.due.keys() == {6}
    assert downloaded.due[6] >= began + 4
    last = shop.download(Task("late_1", downloaded.late, due=downloaded.due), last_chance=True)
    assert time.time() >= downloaded.due[6]
    assert [(record.line, record.attempts, record.http_status) for record in last.records] == [(6, 2, 200)]


def test_requests_are_counted_as_they_are_made(shop: Shop, hostile: HostileOrigin):
    """With one attempt allowed, what was set aside is asked for once more all the same."""
    shop.settings = replace(shop.settings, limits=replace(LIMITS, attempts=1))
    slow = hostile.url("/latency/2900/counted.jpg")
    downloaded = shop.download(task_of(*[hostile.url(f"/ok.jpg?{number}") for number in range(9)], slow))
    last = shop.download(Task("late_1", downloaded.late), last_chance=True)
    assert [record.attempts for record in last.records] == [hostile.hits["/latency/2900/counted.jpg"]] == [2]


def test_who_waits_behind_a_hanging_url_of_the_same_host_is_not_set_aside(shop: Shop, hostile: HostileOrigin):
    shop.settings = replace(shop.settings, limits=replace(LIMITS, per_host=1))
    good = [hostile.url(f"/ok.jpg?{number}") for number in range(20)]
    downloaded = shop.download(task_of(*good[:10], hostile.url("/never?5"), hostile.url("/never?6"), *good[10:]))
    assert [record.line for record in downloaded.late] == [11, 12]
    assert len(downloaded.records) == 20


def test_a_task_of_nothing_but_hanging_urls_is_soon_set_aside(
    shop: Shop, hostile: HostileOrigin, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imgrelay_dagster.relay.fetch.adaptive_timeout.UNKNOWN", 4.0)
    monkeypatch.setattr("imgrelay_dagster.relay.fetch.adaptive_timeout.LEAST", 0.4)
    shop.settings = replace(shop.settings, limits=replace(LIMITS, read_timeout=60.0, deadline=60.0))
    began = time.monotonic()
    downloaded = shop.download(task_of(*[hostile.url(f"/never?{number}") for number in range(40)]))
    assert len(downloaded.late) == 40
    assert time.monotonic() - began < 12, "five rounds of 4 s"


def test_last_chances_at_one_host_are_given_side_by_side(shop: Shop, hostile: HostileOrigin):
    shop.settings = replace(shop.settings, limits=replace(LIMITS, per_host=8, attempts=3), max_concurrent=3)
    hanging = task_of(*[hostile.url(f"/never?late{number}") for number in range(24)])
    late = replace(hanging, records=tuple(replace(record, attempts=1) for record in hanging.records))
    began = time.monotonic()
    shop.download(late, last_chance=True)
    assert time.monotonic() - began < 2 * LIMITS.read_timeout
    ended = {(record.reason, record.attempts) for record in shop.receipts().values()}
    assert ended == {(Reason.TIMEOUT, 2)}


def test_patience_follows_the_pace_of_the_others():
    patience = AdaptiveTimeout()
    assert patience() == UNKNOWN
    patience.hung()
    assert patience() == UNKNOWN / 2
    for _ in range(3):
        patience.took(0.05)
    assert patience() == LEAST
    for _ in range(300):
        patience.took(3.0)
    assert 14 < patience() <= 15


def test_a_step_that_is_tried_again_leaves_out_what_has_its_receipt(shop: Shop, hostile: HostileOrigin):
    composed = shop.compose(shop.download(task_of(hostile.url("/ok.jpg"), hostile.url("/ok.jpg?2"))))
    shop.upload(replace(composed, records=composed.records[:1]))
    with pytest.raises(RelayError, match="failed at"):
        shop.upload(composed)
    assert shop.upload(composed, settled=frozenset({1, 2})).records == ()


def test_a_mistake_in_one_entry_is_an_internal_error_of_that_entry(
    shop: Shop, hostile: HostileOrigin, monkeypatch: pytest.MonkeyPatch
):
    real = compose_stage.compose

    def mistaken(source: bytes, *arguments: object, **options: object) -> object:
        if source != jpeg():
            raise ZeroDivisionError("a mistake")
        return real(source, *arguments, **options)  # type: ignore[arg-type]

    downloaded = shop.download(task_of(hostile.url("/ok.jpg"), hostile.url("/html")))
    monkeypatch.setattr(compose_stage, "compose", mistaken)
    assert [record.line for record in shop.compose(downloaded).records] == [1]
    found = shop.receipts()[2]
    assert (found.outcome, found.reason) == (Outcome.FAILED, Reason.INTERNAL_ERROR)
    assert found.detail == "ZeroDivisionError in compose: a mistake"


def test_a_store_that_takes_nothing_any_more_ends_the_stage(shop: Shop, hostile: HostileOrigin, tmp_path: Path):
    composed = shop.compose(shop.download(task_of(*[hostile.url(f"/ok.jpg?{number}") for number in range(60)])))
    (tmp_path / "gone").mkdir()
    for folder in ("k", "_relay"):
        (tmp_path / "gone" / folder).write_text("a file where the folder of the keys should be")
    shop.store = LocalStore(tmp_path / "gone")  # type: ignore[assignment]
    bench = shop.bench(Stage.UPLOAD)
    with pytest.raises(RelayError, match=r"took none of the last \d\d images, nor a receipt"):
        upload_task(composed, bench, shop.store)
    assert 0 < bench.receipts.counts["failed"] <= 60


def test_keys_that_the_store_refuses_do_not_stop_the_others(shop: Shop, hostile: HostileOrigin, tmp_path: Path):
    composed = shop.compose(shop.download(task_of(*[hostile.url(f"/ok.jpg?{number}") for number in range(60)])))
    (tmp_path / "out" / "k").mkdir(parents=True)
    (tmp_path / "out" / "k" / "1.jpg").write_text("a file where the folder of the keys should be")
    shop.store = LocalStore(tmp_path / "out")  # type: ignore[assignment]
    below = [replace(record, key=f"k/1.jpg/{record.line}.jpg") for record in composed.records[:50]]
    shop.upload(replace(composed, records=(*below, *composed.records[50:])))
    outcomes = {line: record.reason for line, record in shop.receipts().items()}
    assert outcomes == {line: Reason.UPLOAD_ERROR if line <= 50 else None for line in range(1, 61)}
    refused, stored = shop.receipts()[1], shop.receipts()[60]
    assert (refused.bytes_out, refused.width, refused.height, refused.sha256) == (None,) * 4  # nothing is stored
    assert (refused.bytes_in, refused.http_status) == (stored.bytes_in, 200)
    assert (stored.width, stored.height) == (64, 48)


def test_entries_share_packs_and_large_ones_lie_alone(shop: Shop):
    large, medium = b"L" * (packs.ALONE + 1), b"M" * packs.ALONE
    mediums = range(5, 6 + packs.FULL // packs.ALONE)  # the first pack and one more
    with PackWriter(shop.staging, "lines", Stage.DOWNLOAD) as packing:
        packing.add(1, b"first")
        with packing.body(2) as body:
            body.write(b"sec")
            body.write(b"ond")
        with packing.body(3) as body:
            body.write(large[:9])
            body.write(large[9:])
        packing.add(4, large)
        for line in mediums:
            packing.add(line, medium)
        for data in (large, b"small"):
            with pytest.raises(ZeroDivisionError), packing.body(10) as body:
                body.write(data)
                raise ZeroDivisionError
    expected = {
        1: b"first",
        2: b"second",
        3: large,
        4: large,
        **dict.fromkeys(mediums, medium),
    }
    task = Task("lines", tuple(Record(line, "") for line in expected), places=packing.places)
    unpacking = PackReader(shop.staging, task)
    assert {record.line: unpacking.read(record.line) for record in unpacking.in_order().records} == expected
    assert len(shop.staged()) == 4  # two packs, the first of which is full, and two that lie alone


def test_a_step_reads_each_pack_once_though_its_records_are_in_another_order(shop: Shop):
    medium = b"M" * packs.ALONE
    lines = [7, 3, 9, 1, 8, 2, 6, 4, 5, 10, 11, 12]  # as they came in
    with PackWriter(shop.staging, "lines", Stage.DOWNLOAD) as packing:
        for line in lines:
            packing.add(line, medium)
    task = Task("lines", tuple(Record(line, "") for line in sorted(lines)), places=packing.places)
    unpacking = PackReader(shop.staging, task)
    for record in unpacking.in_order().records:
        assert unpacking.read(record.line) == medium
        (shop.folder / packing.places[record.line].key).unlink(missing_ok=True)  # so that it cannot be read again


def test_threads_fill_packs_together(shop: Shop):
    wanted = {line: bytes([line % 251]) * (1000 + 997 * line) for line in range(400)}
    with PackWriter(shop.staging, "lines", Stage.DOWNLOAD) as packing, ThreadPoolExecutor(16) as threads:
        list(threads.map(packing.add, wanted, wanted.values()))
    task = Task("lines", tuple(Record(line, "") for line in wanted), places=packing.places)
    unpacking = PackReader(shop.staging, task)
    lines = [record.line for record in unpacking.in_order().records]
    with ThreadPoolExecutor(16) as threads:
        assert dict(zip(lines, threads.map(unpacking.read, lines), strict=True)) == wanted
    sizes = [(shop.folder / name).stat().st_size for name in shop.staged()]
    assert sum(sizes) == sum(map(len, wanted.values()))
    assert max(sizes) < packs.FULL + packs.ALONE
    assert sum(size < packs.FULL for size in sizes) <= 1


def test_a_stage_that_is_broken_off_leaves_nothing_to_be_taken_for_whole(shop: Shop):
    with pytest.raises(ZeroDivisionError), PackWriter(shop.staging, "lines", Stage.DOWNLOAD) as packing:
        packing.add(1, b"first")
        raise ZeroDivisionError
    assert not shop.staged()
