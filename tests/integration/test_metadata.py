"""What Dagster's pages show of a run, and the checks that a run makes of itself."""

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import dagster as dg
import pytest
from obstore.store import LocalStore
from PIL import Image

from imgrelay_dagster.defs.assets import daily_manifests, relayed_images
from imgrelay_dagster.defs.jobs import relay_day
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.monitoring.failure_reason import failure_reason
from imgrelay_dagster.ops.asset_checks import CHECKS, DESTINATION_HOLDS, FAILED_ENTRIES, check_results, inspected
from imgrelay_dagster.ops.metadata import INLINE, failure_table, summary_metadata
from imgrelay_dagster.relay.keys import default_key
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.results.inspection import SAMPLE, Inspection, inspect_destination
from imgrelay_dagster.resources import build_resources

LARGEST_URI = 200_000
"""Bytes of an embedded image that Dagster's pages still bear."""


def summary(**more: object) -> Summary:
    values = {"run_id": "run1", "dataset": "birds", "status": "success", "entries": 5, "uploaded": 5, "unchanged": 0}
    values |= {"failed": 0, "not_attempted": 0, "reasons": {}, "bytes_in": 0, "bytes_out": 0, "seconds": 1.0}
    return Summary(**{**values, "images_per_second": 5.0, **more})


ALL_REASONS = {reason.value: 10_000 - number for number, reason in enumerate(Reason)}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A destination with the results of a run that stored `SAMPLE` noisy images."""
    store = LocalStore(tmp_path)
    lines = []
    for line in range(1, SAMPLE + 1):
        buffer = io.BytesIO()
        Image.effect_noise((320, 240), 90 + line).save(buffer, "jpeg")
        data = buffer.getvalue()
        store.put(f"h/{line}.jpg", data)
        digest = hashlib.sha256(data).hexdigest()
        stored = {"outcome": Outcome.UPLOADED, "bytes_out": len(data), "sha256": digest}
        lines.append(record_json.dump_json(Record(line, "http://h/a", key=f"h/{line}.jpg", **stored)))
    lines.append(record_json.dump_json(Record(99, "http://h/b", outcome=Outcome.FAILED, reason=Reason.TIMEOUT)))
    store.put("_relay/birds/runs/run1/results.jsonl", b"\n".join(lines) + b"\n")
    return store


def test_a_destination_that_holds_everything_is_told_so(store: LocalStore):
    seen = inspect_destination(store, "birds", "run1")
    assert (seen.checked, seen.wrong, len(seen.images)) == (SAMPLE, [], SAMPLE)


def test_images_that_are_gone_changed_or_cut_are_named(store: LocalStore, tmp_path: Path):
    (tmp_path / "h" / "1.jpg").unlink()
    (tmp_path / "h" / "2.jpg").write_bytes(b"short")
    changed = bytearray((tmp_path / "h" / "3.jpg").read_bytes())
    changed[-10] ^= 1
    (tmp_path / "h" / "3.jpg").write_bytes(changed)
    seen = inspect_destination(store, "birds", "run1")
    assert seen.wrong[0] == "h/1.jpg: gone"
    assert seen.wrong[1].startswith("h/2.jpg: 5 bytes, ")
    assert seen.wrong[2] == "h/3.jpg: not the bytes that were stored"
    assert (len(seen.wrong), len(seen.images)) == (3, SAMPLE - 3)


def test_the_look_into_the_destination_stops_when_its_time_is_over(store: LocalStore):
    ticks = iter(range(0, 1000, 6))
    assert inspect_destination(store, "birds", "run1", clock=lambda: float(next(ticks))).checked == 2


def test_the_contact_sheet_is_one_small_image(store: LocalStore):
    shown = summary_metadata(summary(), "/out", inspect_destination(store, "birds", "run1"))
    uri = str(shown["contact_sheet"].value).removeprefix("![stored images](").removesuffix(")")
    assert len(uri) < LARGEST_URI
    with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))) as sheet:
        assert sheet.width > 3 * sheet.height > 600


def test_a_run_that_stored_nothing_has_no_sheet():
    for seen in (Inspection(), None):
        assert not {"contact_sheet", "failures"} & set(summary_metadata(summary(), "/out", seen))


def test_failures_stand_in_a_table_that_shows_at_once():
    few = failure_table(summary(failed=3, reasons={"timeout": 2, "http_status": 1}))
    assert few.splitlines()[2].startswith("| `timeout` | 2 | Too slow")
    assert len(few.splitlines()) == 4
    many = failure_table(summary(failed=1, reasons=ALL_REASONS))
    assert len(many) < INLINE
    named = sum(f"`{reason}`" in many for reason in ALL_REASONS)
    assert f"and {len(ALL_REASONS) - named} more reasons" in many


def test_the_report_is_a_link_where_the_destination_is_served(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("IMGRELAY_DESTINATION_URL", raising=False)
    assert summary_metadata(summary(), "/out")["report"] == dg.MetadataValue.path(
        "/out/_relay/birds/runs/run1/report.html"
    )
    monkeypatch.setenv("IMGRELAY_DESTINATION_URL", "https://images.example.org/framed/")
    assert summary_metadata(summary(), "/out")["report"] == dg.MetadataValue.url(
        "https://images.example.org/framed/_relay/birds/runs/run1/report.html"
    )
    monkeypatch.setenv("IMGRELAY_DESTINATION_URL", "javascript:alert(1)//")
    assert isinstance(summary_metadata(summary(), "/out")["report"], dg.PathMetadataValue)


def test_the_checks_say_what_is_wrong():
    failing = summary(failed=3, uploaded=2, reasons={"timeout": 2, "http_status": 1})
    entries, holds = check_results(failing, Inspection(checked=9, wrong=["a.jpg: gone"]))
    assert (entries.passed, entries.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert entries.description == "3 of 5 entries failed: 2 timeout, 1 http_status"
    assert (holds.passed, holds.description) == (False, "a.jpg: gone")
    entries, holds = check_results(summary(), Inspection(checked=5))
    assert (entries.passed, holds.passed) == (True, True)
    _, holds = check_results(summary(), None)
    assert (holds.passed, holds.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_results_that_cannot_be_read_are_no_trouble_of_the_runs(tmp_path: Path):
    results = tmp_path / "_relay" / "birds" / "runs" / "run1" / "results.jsonl"
    results.parent.mkdir(parents=True)
    results.write_text('no "outcome":"uploaded"\n')
    assert inspected(LocalStore(tmp_path), summary()) is None


DAY = "2026-01-05"


class Daily:
    """A folder of daily drops, an instance, and runs of its days in this process."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.out, self.instance = folder / "out", instance
        self._drops = folder / "drops"
        definitions = dg.Definitions([daily_manifests, relayed_images], jobs=[relay_day], resources=build_resources())
        self._job = definitions.resolve_job_def("relay_day")

    def drop(self, urls: list[str]) -> None:
        (self._drops / f"{DAY}.txt").write_text("\n".join(urls))

    def run(self, **form: object) -> dg.ExecuteInProcessResult:
        config = {"ops": {"relayed_images": {"config": form}}}
        return self._job.execute_in_process(config, self.instance, partition_key=DAY, raise_on_error=False)


def checks(ended: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str | None, str | None]]:
    told = ended.get_asset_check_evaluations()
    return {check.check_name: (check.passed, check.description, check.partition) for check in told}


@pytest.fixture
def daily(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daily]:
    (tmp_path / "drops").mkdir()
    monkeypatch.setenv("IMGRELAY_DESTINATION", str(tmp_path / "out"))
    monkeypatch.setenv("IMGRELAY_STAGING", str(tmp_path / "staging"))
    monkeypatch.setenv("IMGRELAY_MANIFESTS", str(tmp_path / "drops"))
    monkeypatch.setenv("IMGRELAY_ALLOWED_HOSTS", "127.0.0.1")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield Daily(tmp_path, instance)


def test_a_day_is_checked_by_its_own_run(origin: Origin, daily: Daily):
    """Twice: then an image that was stored before is gone. The checks belong to the day's partition."""
    daily.drop([origin.url("jpeg/dawn.jpg"), origin.url("bad/gone.jpg")])
    first = checks(daily.run(tolerated_failure_percentage=50))
    assert set(first) == set(CHECKS)
    assert first[FAILED_ENTRIES] == (False, "1 of 2 entries failed: 1 http_status", DAY)
    assert first[DESTINATION_HOLDS] == (True, "1 stored images are as recorded", DAY)
    (image,) = (daily.out / "127.0.0.1").iterdir()
    image.unlink()
    again = checks(daily.run(tolerated_failure_percentage=50))
    assert again[DESTINATION_HOLDS] == (False, f"127.0.0.1/{image.name}: gone", DAY)


def test_a_day_in_shards_warns_until_all_is_done_and_is_judged_as_a_whole(origin: Origin, daily: Daily):
    """Two shards: the first one's only entry fails. The other one's does not, and its run fails with the day."""
    bad, *good = [origin.url(path) for path in ("bad/gone.jpg", *(f"jpeg/small-dawn.jpg?{n}" for n in range(8)))]
    shares = {url: crc32(default_key(url, "jpg").encode()) % 2 for url in (bad, *good)}
    daily.drop([bad, next(url for url in good if shares[url] != shares[bad])])
    cut = daily.run(max_entries_per_run=1)
    assert cut.success
    said = "none of 2 entries failed; 2 were not attempted, and are left to shard runs"
    assert checks(cut)[FAILED_ENTRIES] == (False, said, DAY)

    def shard(number: int) -> dg.ExecuteInProcessResult:
        return daily.run(shard={"coordinator": cut.run_id, "number": number, "of": 2})

    first = shard(shares[bad] + 1)
    assert not first.success
    said = "1 of 2 entries failed: 1 http_status; 1 were not attempted, and are left to shard runs"
    assert checks(first)[FAILED_ENTRIES] == (False, said, DAY)
    last = shard(2 - shares[bad])
    assert not last.success
    assert [len(ended.get_asset_materialization_events()) for ended in (cut, first, last)] == [1, 0, 0]
    assert checks(last)[FAILED_ENTRIES] == (False, "1 of 2 entries failed: 1 http_status", DAY)
    assert checks(last)[DESTINATION_HOLDS] == (True, "1 stored images are as recorded", DAY)
    assert failure_reason(daily.instance, last.run_id).startswith(
        "all shards together: 1 of 2 entries failed (50.0 %), more than the tolerated 5 %: 1 http_status; "
    )
