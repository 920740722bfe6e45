"""`kill -9` of a step, of a run, of the daemon, of everything: the work is finished, each line once."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.monitoring import housekeeping, lost_runs
from imgrelay_dagster.resources import StoresResource
from imgrelay_dagster.runs.tags import PROCESS_TAG, RESULTS_TAG
from tests.conftest import Ran
from tests.support.command import RunningCommand, until
from tests.support.dagster_runs import OVER
from tests.support.dagster_servers import DagsterServers, connections, seconds_until
from tests.support.run_checks import check_ended_early, check_receipts, check_results, done_urls, lock_is_free
from tests.support.slow_origin import slow_origin

ENTRIES = 600
TASK = 50
BEGUN = 3 * TASK
"""Entries that may be between download and upload at one moment: one task more than there are steps at once."""

ORPHAN_LIMIT = 15.0
"""Seconds in which steps end whose run's process is gone; two are usual."""

ANSWER = 0.1
"""Seconds that the origin takes for an answer, so that there is time to hit something."""


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with slow_origin(ANSWER) as server:
        yield server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServers]:
    with DagsterServers(tmp_path_factory.mktemp("crash"), IMGRELAY_WATCH_INTERVAL="5") as instance:
        yield instance


class Dataset:
    """A manifest with its own URLs, the run config to launch it, and the requests that the origin got."""

    def __init__(self, served: DagsterServers, origin: Origin, name: str, entries: int = ENTRIES) -> None:
        self.name, self.entries = name, entries
        self._origin = origin
        self.urls = [origin.url(f"jpeg/harbour.jpg?{name}={n}") for n in range(entries)]
        served.write_manifest(f"{name}.txt", self.urls)
        self.form = {"manifest": f"{name}.txt", "urls_per_task": TASK, "max_concurrent": 2}

    def asked(self) -> Counter[str]:
        """The number of requests for each URL of the manifest."""
        asked = {self._origin.url(target): count for target, count in list(self._origin.hits.items())}
        return Counter({url: asked.get(url, 0) for url in self.urls})

    def again(self) -> int:
        """The number of requests beyond the first one for each URL."""
        asked = self.asked()
        assert min(asked.values()) >= 1, "an entry was never asked for"
        return sum(asked.values()) - self.entries


def check_done(served: DagsterServers, dataset: Dataset, run_id: str) -> dict[str, Any]:
    """The run finished its dataset: every line is stored once."""
    summary = check_results(served, run_id, dataset.entries)
    assert summary["uploaded"] + summary["unchanged"] == dataset.entries
    assert done_urls(served, dataset.name) == set(dataset.urls)
    assert check_receipts(served) == 0
    assert lock_is_free(served, dataset.name)
    return summary


def retry_of(served: DagsterServers, run_id: str, number: int = 1) -> str:
    """The run that Dagster starts in place of a lost one."""
    limit = lost_runs.RETRY_LIMIT + 120  # the failure may have to be reported to Dagster a second time
    runs = until(lambda: found if len(found := served.retries(run_id)) >= number else None, limit, "the run is retried")
    assert len(runs) == number
    tags = served.tags(runs[-1])
    assert (tags["dagster/retry_number"], tags["dagster/retry_strategy"]) == (str(number), "ALL_STEPS")
    return runs[-1]


def kill_while_planning(served: DagsterServers, run_id: str) -> None:
    served.wait_for_steps(run_id, "plan")
    served.kill(served.run_process(run_id))


def test_killed_steps_are_done_again_and_nothing_else_is(served: DagsterServers, origin: Origin):
    dataset = Dataset(served, origin, "steps")
    run_id = served.launch(dataset.form)
    for op in ("plan", "download", "compose", "upload", "report"):
        served.wait_for_steps(run_id, op)
        served.kill(*served.step_processes(run_id)[:1])
    assert served.wait_for(run_id) == "SUCCESS", served.why(run_id)
    check_done(served, dataset, run_id)
    restarted = served.steps(run_id, dg.DagsterEventType.STEP_RESTARTED)
    print(f"steps killed and done again: {dict(restarted)}")
    assert 1 <= restarted.total() <= 5
    assert dataset.again() <= TASK * restarted["download"]
    assert served.retries(run_id) == []


def test_a_run_whose_process_is_killed_is_retried_and_the_retry_does_the_rest(served: DagsterServers, origin: Origin):
    dataset = Dataset(served, origin, "run")
    run_id = served.launch(dataset.form)
    until(lambda: served.steps(run_id, dg.DagsterEventType.STEP_SUCCESS)["upload"] >= 2, 180, "two tasks are done")
    orphans = [pid for pid in served.run_processes() if pid != served.run_process(run_id)]
    served.kill(served.run_process(run_id))
    gone = seconds_until(lambda: not set(orphans) & set(served.processes()), 60, "the orphaned steps have ended")
    print(f"orphaned steps gone after {gone:.1f} s")
    assert gone < ORPHAN_LIMIT
    assert served.wait_for(run_id, limit=30) == "FAILURE"

    retry = retry_of(served, run_id)
    assert served.wait_for(retry, limit=240) == "SUCCESS", served.why(retry)
    summary = check_done(served, dataset, retry)
    assert summary["unchanged"] >= TASK
    assert dataset.again() <= BEGUN
    until(lambda: RESULTS_TAG in served.tags(run_id), 90, "the sensor gives the lost run its results")
    lost = check_ended_early(served, run_id, ENTRIES, "failure")
    assert lost["uploaded"] == summary["unchanged"]


def test_a_run_whose_failure_the_daemon_missed_is_retried(served: DagsterServers, origin: Origin):
    dataset = Dataset(served, origin, "missed", 200)
    run_id = served.launch(dataset.form)
    served.wait_for_steps(run_id, "download")
    served.lose_the_machine()
    ended = until(lambda: list(lost_runs.end_lost_runs(served.dagster, served.stores)), 30, "the run is missed")
    assert ended == [f"run {run_id} was lost and has been ended"]
    # What the daemon keeps of an event that it read before the run's status was written.
    newest = served.dagster.event_log_storage.get_maximum_record_id()
    served.dagster.daemon_cursor_storage.set_cursor_values({"EVENT_LOG_CONSUMER_CURSOR-PIPELINE_FAILURE": str(newest)})
    served.start()
    retry = retry_of(served, run_id)
    assert served.wait_for(retry, limit=240) == "SUCCESS", served.why(retry)
    check_done(served, dataset, retry)
    assert len(served.dagster.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)) == 2


def test_a_run_is_retried_twice_and_no_more(served: DagsterServers, origin: Origin):
    dataset = Dataset(served, origin, "thrice", 60)
    run_id = first = served.launch(dataset.form)
    for number in (1, 2):
        kill_while_planning(served, run_id)
        run_id = retry_of(served, first, number)
    kill_while_planning(served, run_id)
    assert served.wait_for(run_id) == "FAILURE"
    until(lambda: served.tags(run_id).get("dagster/will_retry") == "false", 60, "the run will not be retried")
    until(lambda: not served.run_processes(), 60, "the last step is gone")
    last = served.launch(dataset.form)
    assert served.wait_for(last) == "SUCCESS", served.why(last)
    check_done(served, dataset, last)
    assert len(served.retries(first)) == 2


def test_a_second_run_of_a_dataset_in_use_fails(served: DagsterServers, origin: Origin):
    dataset = Dataset(served, origin, "twice")
    first = served.launch(dataset.form)
    served.wait_for_steps(first, "download")
    second = served.launch(dataset.form)
    assert served.wait_for(second) == "FAILURE"
    failure = served.failure(second)
    assert failure.startswith(f"dataset 'twice' is being relayed by run {first} (last heard of at ")
    assert failure.endswith("wait for it to end or cancel it, or give this run a dataset of its own")
    assert served.wait_for(first, limit=240) == "SUCCESS", served.why(first)
    check_done(served, dataset, first)
    assert dataset.again() == 0
    assert served.retries(second) == []


def test_a_run_goes_on_without_the_daemon(served: DagsterServers, origin: Origin):
    dataset = Dataset(served, origin, "daemon")
    run_id = served.launch(dataset.form)
    served.wait_for_steps(run_id, "upload")
    served.kill(served.server("_daemon"))

    def status() -> str:
        run = served.dagster.get_run_by_id(run_id)
        assert run is not None
        return run.status.value

    until(lambda: status() in OVER, 240, "the run ends")
    assert status() == "SUCCESS", served.why(run_id)
    assert served.stop() == []
    served.start()
    check_done(served, dataset, run_id)
    assert dataset.again() == 0
    again = served.launch(dataset.form)
    assert served.wait_for(again) == "SUCCESS"
    assert served.summary(again)["unchanged"] == ENTRIES


def test_a_lost_machine_loses_no_work(served: DagsterServers, origin: Origin, monkeypatch: pytest.MonkeyPatch):
    dataset, unplanned = Dataset(served, origin, "machine"), Dataset(served, origin, "unplanned", 60)
    run_id = served.launch(dataset.form)
    until(lambda: served.steps(run_id, dg.DagsterEventType.STEP_SUCCESS)["upload"] >= 2, 180, "two tasks are done")
    early = served.launch(unplanned.form)
    served.wait_for(early, "STARTED")
    served.lose_the_machine()
    assert PROCESS_TAG not in served.dagster.get_run_by_id(early).tags
    before = len(done_urls(served, "machine"))
    # What an interrupted put into a folder leaves, in the scratch space and beside the images.
    halves = [served.home / "staging" / run_id / "lines_1_to_50" / "download" / "1", served.out / "half.jpg#1"]
    for half in halves:
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"half a pic")

    served.start()
    assert served.wait_for(run_id, limit=120) == "FAILURE"
    retry = retry_of(served, run_id)
    assert served.wait_for(retry, limit=240) == "SUCCESS", served.why(retry)
    halves[1].unlink()
    summary = check_done(served, dataset, retry)
    assert summary["unchanged"] >= max(before, 2 * TASK)
    assert dataset.again() <= BEGUN

    # The sensor does the same once the run has been silent for longer than this test waits.
    assert served.status(early) == "STARTED"
    monkeypatch.setattr(lost_runs, "UNPLANNED_LIMIT", 5.0)
    assert list(lost_runs.end_lost_runs(served.dagster, served.stores)) == [f"run {early} was lost and has been ended"]
    again = retry_of(served, early)
    assert served.wait_for(again, limit=240) == "SUCCESS", served.why(again)
    check_done(served, unplanned, again)

    until(lambda: not served.staged(), 120, "the sensor clears the scratch space of lost runs")
    until(lambda: RESULTS_TAG in served.tags(run_id), 120, "the sensor gives the lost run its results")
    assert check_ended_early(served, run_id, ENTRIES, "failure")["uploaded"] >= 2 * TASK


def test_after_a_killed_command_the_next_one_does_the_rest(
    home: Path, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    urls = [origin.url(f"jpeg/harbour.jpg?command={n}") for n in range(ENTRIES)]
    (tmp_path / "birds.txt").write_text("".join(f"{url}\n" for url in urls))
    out = tmp_path / "out"
    arguments = ("--manifest", tmp_path / "birds.txt", "--destination", out, "--urls-per-task", str(TASK), "--json")
    with RunningCommand(home, tmp_path, *arguments) as command:
        until(lambda: len(list(out.glob("_relay/birds/receipts/*/upload-*.jsonl"))) >= 2, 120, "two tasks are done")
        command.process.kill()
        gone = seconds_until(lambda: not command.processes(), 60, "the orphaned steps have ended")
        print(f"orphaned steps of the command gone after {gone:.1f} s")
        assert gone < ORPHAN_LIMIT
    assert connections(origin.port) == 0
    with RunningCommand(home, tmp_path, *arguments) as command:
        ran: Ran = command.wait(240)
    assert ran.code == 0, ran.err
    assert ran.summary["unchanged"] >= TASK
    assert ran.summary["unchanged"] + ran.summary["uploaded"] == ENTRIES
    assert sum(count for target, count in origin.hits.items() if "command=" in target) <= ENTRIES + BEGUN
    monkeypatch.setattr(housekeeping, "GRACE", 0.0)
    stores = StoresResource(s3=S3Resource(), staging_address=str(home / "staging"))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        _, lost = runs = instance.get_runs()
        assert [run.status.value for run in runs] == ["SUCCESS", "FAILURE"]
        list(housekeeping.settle_ended_runs(instance, stores))
    assert not [path for path in (home / "staging").rglob("*") if path.is_file()]
    summary = json.loads((out / "_relay" / "birds" / "runs" / lost.run_id / "summary.json").read_text())
    assert (summary["status"], summary["uploaded"]) == ("failure", ran.summary["unchanged"])
