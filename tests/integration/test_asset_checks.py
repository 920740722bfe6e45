"""The asset checks of a day, with a real image origin."""

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import dagster as dg
import pytest

from imgrelay_dagster.defs.assets import daily_manifests, relayed_images
from imgrelay_dagster.defs.jobs import relay_day
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.monitoring.failure_reason import failure_reason
from imgrelay_dagster.ops.asset_checks import CHECKS, DESTINATION_HOLDS, FAILED_ENTRIES
from imgrelay_dagster.relay.keys import default_key
from imgrelay_dagster.resources import build_resources

DAY = "2026-01-05"


class Daily:
    """A folder of daily manifests, an instance, and runs of a day in this process."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.out, self.instance = folder / "out", instance
        self._manifests = folder / "manifests"
        definitions = dg.Definitions([daily_manifests, relayed_images], jobs=[relay_day], resources=build_resources())
        self._job = definitions.resolve_job_def("relay_day")

    def write_manifest(self, urls: list[str]) -> None:
        (self._manifests / f"{DAY}.txt").write_text("\n".join(urls))

    def run(self, **form: object) -> dg.ExecuteInProcessResult:
        config = {"ops": {"relayed_images": {"config": form}}}
        return self._job.execute_in_process(config, self.instance, partition_key=DAY, raise_on_error=False)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str | None, str | None]]:
    """By check: whether it passed, its description and its partition."""
    evaluations = result.get_asset_check_evaluations()
    return {check.check_name: (check.passed, check.description, check.partition) for check in evaluations}


@pytest.fixture
def daily(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daily]:
    (tmp_path / "manifests").mkdir()
    monkeypatch.setenv("IMGRELAY_DESTINATION", str(tmp_path / "out"))
    monkeypatch.setenv("IMGRELAY_STAGING", str(tmp_path / "staging"))
    monkeypatch.setenv("IMGRELAY_MANIFESTS", str(tmp_path / "manifests"))
    monkeypatch.setenv("IMGRELAY_ALLOWED_HOSTS", "127.0.0.1")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield Daily(tmp_path, instance)


def test_a_day_is_checked_by_its_own_run(origin: Origin, daily: Daily):
    """The second run finds that an image which was stored before is gone. The checks belong to the day's partition."""
    daily.write_manifest([origin.url("jpeg/dawn.jpg"), origin.url("bad/gone.jpg")])
    first = checks(daily.run(tolerated_failure_percentage=50))
    assert set(first) == set(CHECKS)
    assert first[FAILED_ENTRIES] == (False, "1 of 2 entries failed: 1 http_status", DAY)
    assert first[DESTINATION_HOLDS] == (True, "1 stored images are as recorded", DAY)
    (image,) = (daily.out / "127.0.0.1").iterdir()
    image.unlink()
    again = checks(daily.run(tolerated_failure_percentage=50))
    assert again[DESTINATION_HOLDS] == (False, f"127.0.0.1/{image.name}: gone", DAY)


def test_a_day_in_shards_is_checked_as_a_whole(origin: Origin, daily: Daily):
    """Of two shards with one entry each, the first fails. The second succeeds, and its run fails with the day."""
    bad, *good = [origin.url(path) for path in ("bad/gone.jpg", *(f"jpeg/small-dawn.jpg?{n}" for n in range(8)))]
    shares = {url: crc32(default_key(url, "jpg").encode()) % 2 for url in (bad, *good)}
    daily.write_manifest([bad, next(url for url in good if shares[url] != shares[bad])])
    coordinator = daily.run(max_entries_per_run=1)
    assert coordinator.success
    description = "none of 2 entries failed; 2 were not attempted, and are left to shard runs"
    assert checks(coordinator)[FAILED_ENTRIES] == (False, description, DAY)

    def shard(number: int) -> dg.ExecuteInProcessResult:
        return daily.run(shard={"coordinator": coordinator.run_id, "number": number, "of": 2})

    first = shard(shares[bad] + 1)
    assert not first.success
    description = "1 of 2 entries failed: 1 http_status; 1 were not attempted, and are left to shard runs"
    assert checks(first)[FAILED_ENTRIES] == (False, description, DAY)
    last = shard(2 - shares[bad])
    assert not last.success
    assert [len(each.get_asset_materialization_events()) for each in (coordinator, first, last)] == [1, 0, 0]
    assert checks(last)[FAILED_ENTRIES] == (False, "1 of 2 entries failed: 1 http_status", DAY)
    assert checks(last)[DESTINATION_HOLDS] == (True, "1 stored images are as recorded", DAY)
    assert failure_reason(daily.instance, last.run_id).startswith(
        "all shards together: 1 of 2 entries failed (50.0 %), more than the tolerated 5 %: 1 http_status; "
    )
