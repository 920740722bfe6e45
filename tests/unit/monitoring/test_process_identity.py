"""Whether the process of a run is gone: on this host, in another container, on another host."""

import os
from pathlib import Path

import psutil
import pytest

from imgrelay_dagster.monitoring.lost_runs import SAME_HOSTNAME_LIMIT
from imgrelay_dagster.relay.records.dataset_lock import SILENCE_LIMIT, acquire_lock
from imgrelay_dagster.runs.process_identity import is_on_this_host, process_is_gone, run_process_identity
from tests.support.runs import Clock, Runs, Status


def test_a_run_whose_process_is_alive_is_not_lost(runs: Runs, clock: Clock):
    run_id = runs.create(Status.STARTED)
    clock(100 * SILENCE_LIMIT)
    assert runs.end_lost() == []
    assert runs.status(run_id) is Status.STARTED


def test_another_process_with_the_same_pid_is_not_the_process_of_the_run(runs: Runs):
    host, pid, started = run_process_identity().rsplit(" ", 2)
    ticks, _, namespace = started.partition("@")
    run_id = runs.create(Status.STARTED, process=f"{host} {pid} {int(ticks) - 1}@{namespace}")
    runs.end_lost()
    assert runs.status(run_id) is Status.FAILURE


def test_setting_the_clock_ends_no_run(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    run_id = runs.create(Status.STARTED)
    monkeypatch.setattr(psutil, "boot_time", lambda: 6.0)
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: 6.0)
    assert runs.end_lost() == []
    assert runs.status(run_id) is Status.STARTED


def test_a_process_of_another_container_with_the_same_hostname_is_judged_by_silence(
    runs: Runs, tmp_path: Path, clock: Clock
):
    """The same pid means different processes in two containers."""
    host, pid, started = run_process_identity().rsplit(" ", 2)
    ticks, _, namespace = started.partition("@")
    run_id = runs.create(Status.STARTED, process=f"{host} {int(pid) + 100_000} {ticks}@{namespace}elsewhere")
    runs.plan(run_id, tmp_path, uploaded=0)
    clock(SAME_HOSTNAME_LIMIT - 30)
    assert runs.end_lost() == []
    clock(SAME_HOSTNAME_LIMIT + 30)
    runs.age_lock(SAME_HOSTNAME_LIMIT + 30)
    assert runs.end_lost() == [f"run {run_id} was lost and has been ended"]


def test_a_run_on_another_host_is_lost_after_a_long_silence(runs: Runs, tmp_path: Path, clock: Clock):
    elsewhere = f"elsewhere-{os.getpid()} 1 1"
    run_id = runs.create(Status.STARTED, process=elsewhere)
    runs.plan(run_id, tmp_path, uploaded=0)
    assert runs.end_lost() == []
    clock(SILENCE_LIMIT - 30)
    assert runs.end_lost() == []
    clock(SILENCE_LIMIT + 30)
    assert runs.end_lost() == []  # its lock was refreshed, by the store's clock
    runs.age_lock(SILENCE_LIMIT + 30)
    assert runs.end_lost() == [f"run {run_id} was lost and has been ended"]


def test_a_run_on_another_host_that_refreshes_its_lock_is_not_lost(runs: Runs, clock: Clock):
    run_id = runs.create(Status.STARTED, process="elsewhere 1 1")
    acquire_lock(runs.store, "birds", run_id, is_over=lambda _: False)
    clock(SILENCE_LIMIT + 30)
    assert runs.end_lost() == []


def test_a_run_on_another_host_lost_before_it_acquired_its_lock_is_ended(runs: Runs, clock: Clock):
    run_id = runs.create(Status.STARTED, process="elsewhere 1 1")
    assert runs.end_lost() == []
    clock(SILENCE_LIMIT + 30)
    assert runs.end_lost() == [f"run {run_id} was lost and has been ended"]


@pytest.mark.parametrize("tag", ["", "host", "host 12", "host pid 5@-", "a b c d"])
def test_a_tag_that_is_not_an_identity_is_of_no_process_here(tag: str):
    """Anybody who launches a run can set its tags: one such tag must not stop the checks of all other runs."""
    assert not is_on_this_host(tag)
    assert not process_is_gone(tag)
