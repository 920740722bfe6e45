"""Lost runs are ended, and Dagster retries them."""

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType

from imgrelay_dagster.monitoring import lost_runs
from imgrelay_dagster.monitoring.lost_runs import RETRY_LIMIT, UNPLANNED_LIMIT
from tests.support.runs import EVENTS, Clock, Runs, Status


def test_the_reexecution_of_a_lost_run_is_not_lost_before_it_is_planned(runs: Runs, ended_process: str, clock: Clock):
    runs.create(Status.FAILURE, process=ended_process)
    again = runs.create(Status.STARTED, process=ended_process)  # Dagster copies the tags
    assert runs.end_lost() == []
    clock(UNPLANNED_LIMIT + 30)
    assert runs.end_lost() == [f"run {again} was lost and has been ended"]


@pytest.mark.parametrize(("status", "ended"), [(Status.STARTED, Status.FAILURE), (Status.CANCELING, Status.CANCELED)])
def test_a_run_whose_process_is_gone_is_ended(runs: Runs, ended_process: str, status: Status, ended: Status):
    run_id = runs.create(status, process=ended_process)
    assert runs.end_lost() == [f"run {run_id} was lost and has been ended"]
    assert runs.status(run_id) is ended
    assert runs.end_lost() == []


def test_a_lost_run_is_retried_and_a_canceled_one_is_not(runs: Runs, ended_process: str):
    lost = runs.create(Status.STARTED, process=ended_process)
    canceled = runs.create(Status.CANCELING, process=ended_process)
    runs.end_lost()
    assert runs.tags(lost)["dagster/will_retry"] == "true"
    assert runs.tags(canceled).get("dagster/will_retry", "false") == "false"


def test_a_failure_that_dagster_missed_is_reported_once_more(runs: Runs, ended_process: str, clock: Clock):
    missed, retried = runs.create(Status.STARTED, process=ended_process), runs.create(Status.FAILURE)
    runs.end_lost()
    runs.instance.add_run_tags(retried, {"dagster/auto_retry_run_id": "some-run"})
    assert runs.report_missed() == []
    clock(RETRY_LIMIT + 5)
    assert [line.split()[1] for line in runs.report_missed()] == [missed]
    assert runs.report_missed() == []
    assert [runs.failures(run_id) for run_id in (missed, retried)] == [2, 1]
    assert runs.tags(missed)["dagster/will_retry"] == "true"


def test_runs_of_other_projects_are_left_alone(runs: Runs, clock: Clock):
    @dg.job
    def train_model() -> None: ...

    run = runs.instance.create_run_for_job(train_model)
    for status in (Status.STARTED, Status.CANCELING):
        for kind in EVENTS[status]:
            runs.instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)
        clock(UNPLANNED_LIMIT + 60)
        assert runs.end_lost() == []
        assert runs.status(run.run_id) is status


def test_a_run_that_succeeds_at_this_moment_is_not_marked_as_failed(
    runs: Runs, ended_process: str, monkeypatch: pytest.MonkeyPatch
):
    run_id = runs.create(Status.STARTED, process=ended_process)

    def ends_meanwhile(identity: str) -> bool:
        runs.instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_SUCCESS.value, "relay"), run_id)
        return True

    monkeypatch.setattr(lost_runs, "process_is_gone", ends_meanwhile)
    assert runs.end_lost() == []
    assert runs.status(run_id) is Status.SUCCESS


def test_a_run_lost_before_its_plan_is_ended(runs: Runs, clock: Clock):
    run_id = runs.create(Status.STARTED, dataset=None, destination=None, process=None)
    clock(UNPLANNED_LIMIT - 30)
    assert runs.end_lost() == []
    clock(UNPLANNED_LIMIT + 30)
    assert runs.end_lost() == [f"run {run_id} was lost and has been ended"]
    assert runs.tags(run_id)["dagster/will_retry"] == "true"


def test_a_run_that_has_not_started_is_left_to_dagster(runs: Runs, ended_process: str, clock: Clock):
    runs.create(Status.NOT_STARTED, process=ended_process)
    clock(UNPLANNED_LIMIT + 30)
    assert runs.end_lost() == []
