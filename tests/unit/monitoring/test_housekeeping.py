"""Housekeeping: ended runs get their results, and their scratch space is cleared."""

from pathlib import Path

import pytest
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.monitoring.housekeeping import clear_leftover_staging, settle_ended_runs
from imgrelay_dagster.relay.records.dataset_lock import lock_holder
from imgrelay_dagster.relay.records.summary import read_summary
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import RESULTS_TAG
from tests.support.runs import LATER, TAGS, Clock, Runs, Status


@pytest.mark.parametrize(("status", "status_name"), [(Status.CANCELED, "canceled"), (Status.FAILURE, "failure")])
def test_an_ended_run_gets_its_results_once(runs: Runs, tmp_path: Path, clock: Clock, status: Status, status_name: str):
    run_id = runs.create(status)
    runs.plan(run_id, tmp_path, uploaded=2)
    assert runs.settle() == []  # its last steps may still write receipts
    clock(LATER)
    assert runs.settle() == [f"run {run_id} has its results"]
    summary = runs.summary(run_id)
    assert (summary["status"], summary["entries"], summary["uploaded"], summary["not_attempted"]) == (
        status_name,
        3,
        2,
        1,
    )
    assert runs.tags(run_id)[RESULTS_TAG] == "2 of 3"
    (message,) = runs.messages(run_id)
    assert "2 uploaded, 0 unchanged, 0 failed, 1 not attempted of 3 entries. Launch it again" in message
    assert runs.staged() == set()
    assert lock_holder(runs.store, "birds") is None

    assert runs.settle() == []
    assert runs.messages(run_id) == [message]
    assert runs.summary(run_id) == summary


@pytest.mark.parametrize("content", ["", "half", "zeros"])
def test_records_damaged_by_a_power_loss_do_not_stop_other_runs(runs: Runs, tmp_path: Path, clock: Clock, content: str):
    run_ids = []
    for number, damaged in enumerate((False, True, False)):
        run_id = runs.create(Status.FAILURE)
        (tmp_path / str(number)).mkdir()
        runs.plan(run_id, tmp_path / str(number), uploaded=1)
        run_ids.append(run_id)
        if damaged:
            for name in ("ledger.jsonl.gz", "upload-1-0.jsonl"):
                path = runs.out / "_relay" / "birds" / "receipts" / run_id / name
                data = path.read_bytes()
                path.write_bytes({"": b"", "half": data[: len(data) // 2], "zeros": bytes(len(data))}[content])
    clock(LATER)
    assert sorted(runs.settle()) == sorted(f"run {run_id} has its results" for run_id in run_ids)
    assert runs.settle() == []
    assert [runs.tags(run_id)[RESULTS_TAG] for run_id in (run_ids[0], run_ids[2])] == ["1 of 3", "2 of 3"]
    assert runs.tags(run_ids[1])[RESULTS_TAG].startswith("none")
    assert runs.staged() == set()
    assert not list(runs.out.rglob("ledger*"))


def test_a_damaged_summary_counts_as_missing(runs: Runs, tmp_path: Path, clock: Clock):
    run_id = runs.create(Status.FAILURE)
    runs.plan(run_id, tmp_path, uploaded=1)
    clock(LATER)
    runs.settle()
    path = runs.out / "_relay" / "birds" / "runs" / run_id / "summary.json"
    path.write_bytes(bytes(100))
    assert read_summary(runs.store, "birds", run_id) is None


def test_a_run_gets_its_results_while_staging_is_unreachable(
    runs: Runs, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    run_id = runs.create(Status.FAILURE)
    runs.plan(run_id, tmp_path, uploaded=1)
    s3 = S3Resource(endpoint_url="http://127.0.0.1:1")
    unreachable = StoresResource(s3=s3, staging_address="s3://nosuch")
    clock(LATER)
    assert list(settle_ended_runs(runs.instance, unreachable)) == [f"run {run_id} has its results"]
    (message,) = clear_leftover_staging(runs.instance, unreachable)
    assert message.startswith("staging 's3://nosuch' cannot be listed: http://127.0.0.1:1")


def test_a_run_that_ended_before_it_was_planned_is_settled_once(runs: Runs, clock: Clock):
    run_id = runs.create(Status.CANCELED)
    clock(LATER)
    assert runs.settle() == [f"run {run_id} has its results"]
    assert runs.tags(run_id)[RESULTS_TAG] == "none: ended before it was planned"
    assert runs.settle() == []


def test_a_run_that_was_canceled_in_the_queue_does_not_stop_the_others(runs: Runs, tmp_path: Path, clock: Clock):
    """A sensor requested the run, so it has a dataset tag; `plan` would have set the other tags."""
    lost = runs.create(Status.FAILURE)
    runs.plan(lost, tmp_path, uploaded=1)
    runs.create(Status.CANCELED, destination=None, process=None)  # the newest run is settled first
    clock(LATER)
    assert runs.settle() == [f"run {lost} has its results"]


def test_a_run_without_tags_and_a_running_run_are_left_alone(runs: Runs, tmp_path: Path, clock: Clock):
    runs.create(Status.FAILURE, dataset=None, destination=None, process=None)
    running = runs.create(Status.STARTED)
    runs.plan(running, tmp_path, uploaded=1)
    clock(LATER)
    assert runs.settle() == []
    assert lock_holder(runs.store, "birds").run_id == running
    assert runs.staged() == {running}


def test_a_run_is_settled_when_its_destination_is_reachable_again(runs: Runs, tmp_path: Path, clock: Clock):
    run_id = runs.create(Status.FAILURE)
    runs.plan(run_id, tmp_path, uploaded=1)
    runs.out.rename(tmp_path / "away")
    runs.out.write_text("no folder")
    clock(LATER)
    (message,) = runs.settle()
    assert message.startswith(f"run {run_id} cannot be completed yet: ")
    runs.out.unlink()
    (tmp_path / "away").rename(runs.out)
    assert runs.settle() == [f"run {run_id} has its results"]


def test_the_reexecution_of_a_settled_run_gets_its_own_results(runs: Runs, tmp_path: Path, clock: Clock):
    first = runs.create(Status.CANCELED)
    runs.plan(first, tmp_path, uploaded=1)
    clock(LATER)
    runs.settle()
    again = runs.create(Status.CANCELED, **{name: runs.tags(first)[tag] for name, tag in TAGS.items()})
    runs.plan(again, tmp_path, uploaded=2)
    assert runs.settle() == [f"run {again} has its results"]
    assert runs.tags(again)[RESULTS_TAG] == "3 of 3"
    assert len(runs.messages(again)) == 1


def test_an_old_run_gets_its_results_among_many_newer_runs(
    runs: Runs, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imgrelay_dagster.runs.queries.PAGE_SIZE", 3)
    run_id = runs.create(Status.CANCELED)
    runs.plan(run_id, tmp_path, uploaded=1)
    for _ in range(7):
        runs.create(Status.CANCELED, destination=None)
    clock(LATER)
    assert runs.settle() == [f"run {run_id} has its results"]


def test_invented_tags_write_nothing_elsewhere_and_do_not_stop_other_runs(runs: Runs, tmp_path: Path, clock: Clock):
    elsewhere = tmp_path / "elsewhere"
    runs.create(Status.CANCELED, destination=str(elsewhere))
    runs.create(Status.CANCELED, dataset="../up")
    runs.create(Status.CANCELED, dataset=None)
    run_id = runs.create(Status.CANCELED)
    clock(LATER)
    messages = runs.settle()
    assert f"run {run_id} has its results" in messages
    assert len([line for line in messages if "cannot be completed yet" in line]) == 2
    assert not elsewhere.exists()


def test_only_the_scratch_space_of_ended_runs_is_cleared(runs: Runs, clock: Clock):
    running, failed, succeeded = runs.create(Status.STARTED), runs.create(Status.FAILURE), runs.create(Status.SUCCESS)
    for run_id in (running, failed, succeeded, "of-another-instance"):
        runs.stage(run_id)
    assert runs.clear() == []
    clock(LATER)
    assert len(runs.clear()) == 2
    assert runs.staged() == {running, "of-another-instance"}
    assert runs.clear() == []
