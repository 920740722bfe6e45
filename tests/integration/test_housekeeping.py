"""Looking after runs that ended without their report, on a real instance without its daemon."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.definitions import relay_job
from imgrelay_dagster.monitoring import housekeeping, lost_runs
from imgrelay_dagster.monitoring.housekeeping import GRACE, clear_leftover_staging, settle_ended_runs
from imgrelay_dagster.monitoring.lost_runs import (
    NAMESAKE_LIMIT,
    RETRY_LIMIT,
    UNPLANNED_LIMIT,
    end_lost_runs,
    tell_of_missed_failures,
)
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.outcomes import Outcome, Stage
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.dataset_lock import SILENCE_LIMIT, acquire_lock, lock_holder
from imgrelay_dagster.relay.records.layout import run_receipts
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.results.fold import read_summary
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.packs import PackWriter
from imgrelay_dagster.relay.storage.stores import open_store
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs import process_identity
from imgrelay_dagster.runs.process_identity import run_process
from imgrelay_dagster.runs.tags import DATASET_TAG, DESTINATION_TAG, PROCESS_TAG, RESULTS_TAG, RETRY_TAGS, SETTLED_TAG
from tests.conftest import ROOT

Status = dg.DagsterRunStatus
Clock = Callable[[float], None]

EVENTS = {
    Status.NOT_STARTED: [],
    Status.STARTED: [DagsterEventType.RUN_START],
    Status.SUCCESS: [DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS],
    Status.FAILURE: [DagsterEventType.RUN_START, DagsterEventType.RUN_FAILURE],
    Status.CANCELING: [DagsterEventType.RUN_START, DagsterEventType.RUN_CANCELING],
    Status.CANCELED: [DagsterEventType.RUN_START, DagsterEventType.RUN_CANCELING, DagsterEventType.RUN_CANCELED],
}
LATER = GRACE + 5
TAGS = {
    "dataset": DATASET_TAG,
    "destination": DESTINATION_TAG,
    "process": PROCESS_TAG,
    "results": RESULTS_TAG,
    "settled": SETTLED_TAG,
}
URLS = ["http://h/a.jpg", "http://h/b.jpg", "http://h/c.jpg"]


class House:
    """An instance, its stores, and runs made in any state."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance = instance
        self.out = folder / "out"
        self.staging = folder / "staging"
        self.store = open_store(str(self.out))
        self.stores = StoresResource(s3=S3Resource(), staging_address=str(self.staging))

    def run(self, status: Status, **tags: str | None) -> str:
        """A run in this state, planned in a living process unless `tags` say otherwise."""
        planned = {"dataset": "birds", "destination": str(self.out), "process": run_process()}
        given = {TAGS[name]: value for name, value in {**planned, **tags}.items() if value is not None}
        run = self.instance.create_run_for_job(relay_job(), run_config={"urls": URLS}, tags={**RETRY_TAGS, **given})
        for kind in EVENTS[status]:
            self.instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)
        assert self.status(run.run_id) is status
        return run.run_id

    def plan(self, run_id: str, folder: Path, uploaded: int) -> None:
        """What the run's steps left: ledger, lock, scratch files, receipts of the first entries."""
        settings = Settings(dataset="birds", destination=str(self.out))
        acquire_lock(self.store, "birds", run_id, is_over=lambda _: True)
        made = plan_run(
            [ManifestRow(line, url) for line, url in enumerate(URLS, 1)],
            settings,
            run_id=run_id,
            store=self.store,
            templates=TemplateFolder.shipped(),
            scratch=folder,
        )
        records = [record for task in made.tasks() for record in task.records]
        with ReceiptWriter(self.store, run_receipts("birds", run_id), "upload-1") as receipts:
            for record in records[:uploaded]:
                receipts.add(replace(record, outcome=Outcome.UPLOADED, at=time.time()))
        self.stage(run_id)

    def stage(self, run_id: str) -> None:
        """A scratch file of the run."""
        with PackWriter(self.stores.staging(run_id), "task", Stage.DOWNLOAD) as pack:
            pack.add(1, b"half a picture")

    def staged(self) -> set[str]:
        """The runs that have scratch files."""
        return {path.relative_to(self.staging).parts[0] for path in self.staging.rglob("*") if path.is_file()}

    def status(self, run_id: str) -> Status:
        return self._run(run_id).status

    def tags(self, run_id: str) -> dict[str, str]:
        return dict(self._run(run_id).tags)

    def _run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def messages(self, run_id: str) -> list[str]:
        """What housekeeping told on the run's page."""
        events = self.instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT)
        return [event.message for event in events if event.message.startswith("The run ended early")]

    def summary(self, run_id: str) -> dict[str, Any]:
        return json.loads((self.out / "_relay" / "birds" / "runs" / run_id / "summary.json").read_text())

    def settle(self) -> list[str]:
        return list(settle_ended_runs(self.instance, self.stores))

    def end_lost(self) -> list[str]:
        return list(end_lost_runs(self.instance, self.stores))

    def tell(self) -> list[str]:
        return list(tell_of_missed_failures(self.instance))

    def failures(self, run_id: str) -> int:
        """How often it was said that the run failed."""
        return len(self.instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE))

    def clear(self) -> list[str]:
        return list(clear_leftover_staging(self.instance, self.stores))


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    folder = tmp_path_factory.mktemp("home")
    (folder / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


@pytest.fixture
def house(instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("IMGRELAY_DESTINATION", str(tmp_path / "out"))
    yield House(instance, tmp_path)
    for run in instance.get_runs():
        instance.delete_run(run.run_id)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Moves the clock of whoever looks after runs on by so many seconds."""

    class Later:
        def __init__(self, seconds: float) -> None:
            self.time = lambda: time.time() + seconds

    def move(seconds: float) -> None:
        for module in (housekeeping, lost_runs):
            monkeypatch.setattr(module, "time", Later(seconds))

    return move


@pytest.fixture
def gone() -> str:
    """The process tag of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        named = process_identity.identify(psutil.Process(child.pid))
        child.kill()
    return named


@pytest.mark.parametrize(("status", "named"), [(Status.CANCELED, "canceled"), (Status.FAILURE, "failure")])
def test_an_ended_run_gets_its_results_once(house: House, tmp_path: Path, clock: Clock, status: Status, named: str):
    run_id = house.run(status)
    house.plan(run_id, tmp_path, uploaded=2)
    assert house.settle() == []  # its last steps may still be putting receipts
    clock(LATER)
    assert house.settle() == [f"run {run_id} has its results"]
    summary = house.summary(run_id)
    assert (summary["status"], summary["entries"], summary["uploaded"], summary["not_attempted"]) == (named, 3, 2, 1)
    assert house.tags(run_id)[RESULTS_TAG] == "2 of 3"
    (said,) = house.messages(run_id)
    assert "2 uploaded, 0 unchanged, 0 failed, 1 not attempted of 3 entries. Launch it again" in said
    assert house.staged() == set()
    assert lock_holder(house.store, "birds") is None

    assert house.settle() == []
    assert house.messages(run_id) == [said]
    assert house.summary(run_id) == summary


@pytest.mark.parametrize("left", ["", "half", "zeros"])
def test_records_that_a_loss_of_power_left_broken_hold_up_no_other_run(
    house: House, tmp_path: Path, clock: Clock, left: str
):
    runs = []
    for number, broken in enumerate((False, True, False)):
        run_id = house.run(Status.FAILURE)
        (tmp_path / str(number)).mkdir()
        house.plan(run_id, tmp_path / str(number), uploaded=1)
        runs.append(run_id)
        if broken:
            for name in ("ledger.jsonl.gz", "upload-1-0.jsonl"):
                path = house.out / "_relay" / "birds" / "receipts" / run_id / name
                data = path.read_bytes()
                path.write_bytes({"": b"", "half": data[: len(data) // 2], "zeros": bytes(len(data))}[left])
    clock(LATER)
    assert sorted(house.settle()) == sorted(f"run {run_id} has its results" for run_id in runs)
    assert house.settle() == []
    assert [house.tags(run_id)[RESULTS_TAG] for run_id in (runs[0], runs[2])] == ["1 of 3", "2 of 3"]
    assert house.tags(runs[1])[RESULTS_TAG].startswith("none")
    assert house.staged() == set()
    assert not list(house.out.rglob("ledger*"))


def test_a_summary_that_is_not_whole_counts_as_none(house: House, tmp_path: Path, clock: Clock):
    run_id = house.run(Status.FAILURE)
    house.plan(run_id, tmp_path, uploaded=1)
    clock(LATER)
    house.settle()
    path = house.out / "_relay" / "birds" / "runs" / run_id / "summary.json"
    path.write_bytes(bytes(100))
    assert read_summary(house.store, "birds", run_id) is None


def test_staging_that_is_away_keeps_no_run_from_its_results(
    house: House, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    run_id = house.run(Status.FAILURE)
    house.plan(run_id, tmp_path, uploaded=1)
    s3 = S3Resource(endpoint_url="http://127.0.0.1:1")
    away = StoresResource(s3=s3, staging_address="s3://nosuch")
    clock(LATER)
    assert list(settle_ended_runs(house.instance, away)) == [f"run {run_id} has its results"]
    (said,) = clear_leftover_staging(house.instance, away)
    assert said.startswith("staging 's3://nosuch' cannot be listed: http://127.0.0.1:1")


def test_a_run_that_ended_before_it_was_planned_is_looked_at_once(house: House, clock: Clock):
    run_id = house.run(Status.CANCELED)
    clock(LATER)
    assert house.settle() == [f"run {run_id} has its results"]
    assert house.tags(run_id)[RESULTS_TAG] == "none: ended before it was planned"
    assert house.settle() == []


def test_a_run_that_was_cancelled_in_the_queue_holds_up_no_other(house: House, tmp_path: Path, clock: Clock):
    """A sensor asked for it, and gave it its dataset; what else is known of a run, `plan` tells."""
    lost = house.run(Status.FAILURE)
    house.plan(lost, tmp_path, uploaded=1)
    house.run(Status.CANCELED, destination=None, process=None)  # the newest is looked at first
    clock(LATER)
    assert house.settle() == [f"run {lost} has its results"]


def test_a_run_that_never_told_of_itself_and_one_that_goes_on_are_left_alone(
    house: House, tmp_path: Path, clock: Clock
):
    house.run(Status.FAILURE, dataset=None, destination=None, process=None)
    going = house.run(Status.STARTED)
    house.plan(going, tmp_path, uploaded=1)
    clock(LATER)
    assert house.settle() == []
    assert lock_holder(house.store, "birds").run_id == going
    assert house.staged() == {going}


def test_a_run_whose_destination_is_away_keeps_its_turn(house: House, tmp_path: Path, clock: Clock):
    run_id = house.run(Status.FAILURE)
    house.plan(run_id, tmp_path, uploaded=1)
    house.out.rename(tmp_path / "away")
    house.out.write_text("no folder")
    clock(LATER)
    (said,) = house.settle()
    assert said.startswith(f"run {run_id} cannot be completed yet: ")
    house.out.unlink()
    (tmp_path / "away").rename(house.out)
    assert house.settle() == [f"run {run_id} has its results"]


def test_a_run_whose_process_lives_is_not_lost(house: House, clock: Clock):
    run_id = house.run(Status.STARTED)
    clock(100 * SILENCE_LIMIT)
    assert house.end_lost() == []
    assert house.status(run_id) is Status.STARTED


def test_a_run_made_from_a_lost_one_is_not_taken_for_lost_before_it_tells_of_its_own_process(
    house: House, gone: str, clock: Clock
):
    house.run(Status.FAILURE, process=gone)
    again = house.run(Status.STARTED, process=gone)  # Dagster copies the tags
    assert house.end_lost() == []
    clock(UNPLANNED_LIMIT + 30)
    assert house.end_lost() == [f"run {again} was lost and is ended"]


def test_a_run_made_from_one_that_has_its_results_gets_its_own(house: House, tmp_path: Path, clock: Clock):
    first = house.run(Status.CANCELED)
    house.plan(first, tmp_path, uploaded=1)
    clock(LATER)
    house.settle()
    again = house.run(Status.CANCELED, **{name: house.tags(first)[tag] for name, tag in TAGS.items()})
    house.plan(again, tmp_path, uploaded=2)
    assert house.settle() == [f"run {again} has its results"]
    assert house.tags(again)[RESULTS_TAG] == "3 of 3"
    assert len(house.messages(again)) == 1


@pytest.mark.parametrize(("status", "ended"), [(Status.STARTED, Status.FAILURE), (Status.CANCELING, Status.CANCELED)])
def test_a_run_whose_process_is_gone_is_ended(house: House, gone: str, status: Status, ended: Status):
    run_id = house.run(status, process=gone)
    assert house.end_lost() == [f"run {run_id} was lost and is ended"]
    assert house.status(run_id) is ended
    assert house.end_lost() == []


def test_a_lost_run_is_to_be_started_again_and_a_canceled_one_is_not(house: House, gone: str):
    lost, canceled = house.run(Status.STARTED, process=gone), house.run(Status.CANCELING, process=gone)
    house.end_lost()
    assert house.tags(lost)["dagster/will_retry"] == "true"
    assert house.tags(canceled).get("dagster/will_retry", "false") == "false"


def test_a_failure_that_dagster_passed_over_is_told_once_more(house: House, gone: str, clock: Clock):
    missed, heard = house.run(Status.STARTED, process=gone), house.run(Status.FAILURE)
    house.end_lost()
    house.instance.add_run_tags(heard, {"dagster/auto_retry_run_id": "some-run"})
    assert house.tell() == []
    clock(RETRY_LIMIT + 5)
    assert [line.split()[1] for line in house.tell()] == [missed]
    assert house.tell() == []
    assert [house.failures(run_id) for run_id in (missed, heard)] == [2, 1]
    assert house.tags(missed)["dagster/will_retry"] == "true"


def test_another_process_with_the_same_number_is_not_the_runs(house: House):
    host, pid, began = run_process().rsplit(" ", 2)
    ticks, _, space = began.partition("@")
    run_id = house.run(Status.STARTED, process=f"{host} {pid} {int(ticks) - 1}@{space}")
    house.end_lost()
    assert house.status(run_id) is Status.FAILURE


def test_a_clock_that_is_set_ends_no_run(house: House, monkeypatch: pytest.MonkeyPatch):
    run_id = house.run(Status.STARTED)
    monkeypatch.setattr(psutil, "boot_time", lambda: 6.0)
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: 6.0)
    assert house.end_lost() == []
    assert house.status(run_id) is Status.STARTED


def test_a_process_of_a_container_of_the_same_name_counts_by_its_silence(house: House, tmp_path: Path, clock: Clock):
    """One number means different processes in two of them."""
    host, pid, began = run_process().rsplit(" ", 2)
    ticks, _, space = began.partition("@")
    run_id = house.run(Status.STARTED, process=f"{host} {int(pid) + 100_000} {ticks}@{space}elsewhere")
    house.plan(run_id, tmp_path, uploaded=0)
    clock(NAMESAKE_LIMIT - 30)
    assert house.end_lost() == []
    clock(NAMESAKE_LIMIT + 30)
    assert house.end_lost() == [f"run {run_id} was lost and is ended"]


def test_runs_of_other_projects_are_left_alone(house: House, clock: Clock):
    @dg.job
    def train_model() -> None: ...

    run = house.instance.create_run_for_job(train_model)
    for status in (Status.STARTED, Status.CANCELING):
        for kind in EVENTS[status]:
            house.instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)
        clock(UNPLANNED_LIMIT + 60)
        assert house.end_lost() == []
        assert house.status(run.run_id) is status


def test_however_many_newer_runs_ended_in_the_queue_an_older_one_gets_its_results(
    house: House, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imgrelay_dagster.runs.queries.PAGE", 3)
    run_id = house.run(Status.CANCELED)
    house.plan(run_id, tmp_path, uploaded=1)
    for _ in range(7):
        house.run(Status.CANCELED, destination=None)
    clock(LATER)
    assert house.settle() == [f"run {run_id} has its results"]


def test_tags_that_somebody_made_up_lead_nowhere_and_hold_up_no_other_run(house: House, tmp_path: Path, clock: Clock):
    elsewhere = tmp_path / "elsewhere"
    house.run(Status.CANCELED, destination=str(elsewhere))
    house.run(Status.CANCELED, dataset="../up")
    house.run(Status.CANCELED, dataset=None)
    run_id = house.run(Status.CANCELED)
    clock(LATER)
    told = house.settle()
    assert f"run {run_id} has its results" in told
    assert len([line for line in told if "cannot be completed yet" in line]) == 2
    assert not elsewhere.exists()


def test_a_run_that_succeeds_at_this_moment_is_not_failed(house: House, gone: str, monkeypatch: pytest.MonkeyPatch):
    run_id = house.run(Status.STARTED, process=gone)

    def ends_meanwhile(tag: str) -> bool:
        house.instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_SUCCESS.value, "relay"), run_id)
        return True

    monkeypatch.setattr(lost_runs, "process_is_gone", ends_meanwhile)
    assert house.end_lost() == []
    assert house.status(run_id) is Status.SUCCESS


def test_a_run_on_another_host_is_lost_once_it_has_been_silent_for_long(house: House, tmp_path: Path, clock: Clock):
    elsewhere = f"elsewhere-{os.getpid()} 1 1"
    fresh = house.run(Status.STARTED, process=elsewhere)
    house.plan(fresh, tmp_path, uploaded=0)
    assert house.end_lost() == []
    clock(SILENCE_LIMIT - 30)
    assert house.end_lost() == []
    clock(SILENCE_LIMIT + 30)
    assert house.end_lost() == [f"run {fresh} was lost and is ended"]


def test_a_run_on_another_host_that_renews_its_lock_is_not_lost(house: House, clock: Clock):
    run_id = house.run(Status.STARTED, process="elsewhere 1 1")
    ahead = time.time() + SILENCE_LIMIT
    acquire_lock(house.store, "birds", run_id, is_over=lambda _: False, clock=lambda: ahead)
    clock(SILENCE_LIMIT + 30)
    assert house.end_lost() == []


def test_a_run_on_another_host_that_was_lost_before_it_held_its_dataset_does_not_last_for_ever(
    house: House, clock: Clock
):
    run_id = house.run(Status.STARTED, process="elsewhere 1 1")
    assert house.end_lost() == []
    clock(SILENCE_LIMIT + 30)
    assert house.end_lost() == [f"run {run_id} was lost and is ended"]


def test_a_run_that_was_lost_before_its_plan_does_not_last_for_ever(house: House, clock: Clock):
    run_id = house.run(Status.STARTED, dataset=None, destination=None, process=None)
    clock(UNPLANNED_LIMIT - 30)
    assert house.end_lost() == []
    clock(UNPLANNED_LIMIT + 30)
    assert house.end_lost() == [f"run {run_id} was lost and is ended"]
    assert house.tags(run_id)["dagster/will_retry"] == "true"


def test_a_run_that_has_not_started_is_left_to_dagster(house: House, gone: str, clock: Clock):
    house.run(Status.NOT_STARTED, process=gone)
    clock(UNPLANNED_LIMIT + 30)
    assert house.end_lost() == []


def test_scratch_space_of_ended_runs_is_cleared_and_that_of_others_is_not(house: House, clock: Clock):
    going, over, done = house.run(Status.STARTED), house.run(Status.FAILURE), house.run(Status.SUCCESS)
    for run_id in (going, over, done, "of-another-instance"):
        house.stage(run_id)
    assert house.clear() == []
    clock(LATER)
    assert len(house.clear()) == 2
    assert house.staged() == {going, "of-another-instance"}
    assert house.clear() == []
