"""Late manifests: which days the sensor requests runs for, tick by tick."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType

from imgrelay_dagster.automation import late_manifests
from imgrelay_dagster.automation.daily_manifests import find_and_record, period_request
from imgrelay_dagster.automation.partitions import due_periods
from imgrelay_dagster.resources import StoresResource
from tests.support.day_manifests import DAY, EARLIER, NOW, create_run, requested_days, scan, write_manifest


def test_a_late_manifest_is_requested_once(manifests: Path, stores: StoresResource, instance: dg.DagsterInstance):
    assert requested_days(scan(instance, stores)) == []
    write_manifest(manifests, f"{EARLIER}.csv")
    late = scan(instance, stores)
    assert requested_days(late) == [EARLIER]
    create_run(instance, late.requests[0], DagsterEventType.RUN_START)
    late = scan(instance, stores, late.cursor)
    assert (requested_days(late), late.notes) == ([], [f"a run of day {EARLIER} has not ended yet"])


@pytest.mark.parametrize("end", [DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE])
def test_only_a_rewritten_manifest_is_requested_again(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance, end: DagsterEventType
):
    write_manifest(manifests, f"{DAY}.txt")
    manifest = find_and_record(instance, DAY, stores)
    assert manifest is not None
    create_run(instance, period_request(DAY, manifest), DagsterEventType.RUN_START, end)  # launched by the schedule
    late = scan(instance, stores)
    assert requested_days(late) == []
    assert requested_days(scan(instance, stores, late.cursor)) == []
    write_manifest(manifests, f"{DAY}.txt", "http://h/another.jpg\n")
    assert requested_days(scan(instance, stores, late.cursor)) == [DAY]


def test_a_run_that_failed_without_a_manifest_does_not_count(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    backfilled = dg.RunRequest(partition_key=DAY)
    create_run(instance, backfilled, DagsterEventType.RUN_START, DagsterEventType.RUN_FAILURE)
    write_manifest(manifests, f"{DAY}.txt")
    assert requested_days(scan(instance, stores)) == [DAY]


def test_a_run_that_was_never_launched_does_not_count(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    write_manifest(manifests, f"{DAY}.txt")
    manifest = find_and_record(instance, DAY, stores)
    assert manifest is not None
    create_run(instance, period_request(DAY, manifest))
    assert requested_days(scan(instance, stores)) == []
    monkeypatch.setattr(late_manifests, "LAUNCH_GRACE", -3650 * 86_400.0)
    assert requested_days(scan(instance, stores)) == [DAY]


def test_runs_of_other_jobs_for_the_same_day_do_not_count(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    @dg.job
    def train_model() -> None: ...

    write_manifest(manifests, f"{DAY}.txt")
    run = instance.create_run_for_job(train_model, tags={"dagster/partition": DAY})
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_START.value, run.job_name), run.run_id)
    assert requested_days(scan(instance, stores)) == [DAY]


def test_a_manifest_that_is_still_being_written_waits(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    path = write_manifest(manifests, f"{DAY}.txt", age=timedelta(seconds=3))
    late = scan(instance, stores)
    assert (requested_days(late), late.notes) == ([], [f"{path} is still being written"])
    write_manifest(manifests, f"{DAY}.txt", age=timedelta(seconds=30))
    assert requested_days(scan(instance, stores, late.cursor)) == [DAY]


def test_days_that_are_not_due_or_too_old_are_not_requested(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGRELAY_LATE_DAYS", "3")
    for day in ("2026-11-24", "2026-11-20", "2026-11-21"):
        write_manifest(manifests, f"{day}.txt")
    assert requested_days(scan(instance, stores)) == ["2026-11-21"]


def test_a_month_of_late_manifests_is_requested_over_several_ticks(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    for day in due_periods(NOW, 31):
        write_manifest(manifests, f"{day}.txt")
    cursor, requested = None, []
    while (late := scan(instance, stores, cursor)).requests:
        assert len(late.requests) <= 5
        for request in late.requests:
            create_run(instance, request, DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS)
        requested += requested_days(late)
        cursor = late.cursor
    assert requested == due_periods(NOW, 31)


def test_a_day_with_two_manifests_does_not_stop_the_others(
    manifests: Path, stores: StoresResource, instance: dg.DagsterInstance
):
    for name in (f"{DAY}.txt", f"{DAY}.csv", f"{EARLIER}.txt"):
        write_manifest(manifests, name)
    late = scan(instance, stores)
    assert requested_days(late) == [EARLIER]
    assert late.notes[0].startswith(f"day {DAY} has more than one manifest")
