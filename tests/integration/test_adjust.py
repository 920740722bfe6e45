"""`imgrelay adjust`: a run is slowed down, paused, resumed and judged otherwise while it is under way."""

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from tests.support.command import RunningCommand, read_summary, until
from tests.support.slow_origin import slow_origin

ENTRIES = 400
TAKEN_UP = 3.0
"""Seconds within which every step takes up an adjustment."""


def test_a_run_is_paused_resumed_and_judged_otherwise(imgrelay: Callable[..., Ran], home: Path, tmp_path: Path):
    with slow_origin(0.3) as origin:
        urls = [origin.url(f"jpeg/small-dawn.jpg?{number}") for number in range(ENTRIES - 40)]
        urls += [origin.url(f"missing/{number}.jpg") for number in range(40)]
        (tmp_path / "birds.txt").write_text("\n".join(urls))
        config = tmp_path / "config.yaml"
        config.write_text("download: {threads: 8}\nurls_per_task: 50\n")
        options = ("--manifest", "birds.txt", "--destination", "out", "--config", config)
        with RunningCommand(home, tmp_path, *options) as command:
            until(lambda: sum(origin.hits.values()) > 20, 60, "the first images were asked for")
            run_id = run_ids(home)[0]
            assert imgrelay("adjust", run_id[:8], "--pause", "--tolerated-failure-percentage", "20").code == 0
            time.sleep(TAKEN_UP + 1.0)
            asked = sum(origin.hits.values())
            assert asked < ENTRIES
            time.sleep(2.0)
            assert sum(origin.hits.values()) == asked
            listed = json.loads(imgrelay("runs", "--json", "--dataset", "birds").out)
            shown = {name: listed[name] for name in ("run_id", "status", "manifest")}
            assert shown == {"run_id": run_id, "status": "started", "manifest": str(tmp_path / "birds.txt")}
            again = imgrelay("adjust", run_id, "--resume", "--threads", "16", "--max-requests-per-second", "30")
            assert again.out == f"{run_id}: max_requests_per_second=30 threads=16 tolerated_failure_percentage=20\n"
            time.sleep(TAKEN_UP)
            before = sum(origin.hits.values())
            time.sleep(3.0)
            assert 60 <= sum(origin.hits.values()) - before <= 95
            assert imgrelay("adjust", run_id, "--reset", "--tolerated-failure-percentage", "20").code == 0
            assert command.wait(120).code == 0
    summary = read_summary(tmp_path / "out")
    assert (summary["uploaded"], summary["failed"], summary["status"]) == (ENTRIES - 40, 40, "success")
    assert summary["adjusted"] == "tolerated_failure_percentage=20"
    log = messages(home, run_id)
    assert sum("adjusted: tolerated_failure_percentage=20 paused" in line for line in log) == 1
    assert sum("adjusted by the command line: " in line for line in log) == 3


def run_ids(home: Path) -> list[str]:
    with sqlite3.connect(home / "history" / "runs.db") as database:
        return [run_id for (run_id,) in database.execute("SELECT run_id FROM runs")]


def messages(home: Path, run_id: str) -> list[str]:
    """The texts of a run's events and log messages."""
    with sqlite3.connect(home / "history" / "runs" / f"{run_id}.db") as database:
        return [event for (event,) in database.execute("SELECT event FROM event_logs")]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--threads", "0"), "threads=0 must be a whole number from 1 to 128"),
        (("--max-requests-per-second", "many"), "max_requests_per_second=many must be a number"),
        ((), "nothing to adjust"),
        (("--pause",), "no run that is under way begins with '3f0c' in the Dagster instance (DAGSTER_HOME)"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(imgrelay: Callable[..., Ran], options: tuple[str, ...], told: str):
    ran = imgrelay("adjust", "3f0c", *options)
    assert ran.code == 2
    assert told in ran.err
