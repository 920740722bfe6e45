"""A hundred times `kill -9` of a step's process, at random moments: all is stored, and little is asked for twice."""

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import dagster as dg

from imgrelay_dagster.demo.origin import Origin
from tests.support.command import RunningCommand, until
from tests.support.stored_files import files, images, write_manifest

KILLS = 100
ENTRIES = 5_000
"""Entries of a list. There are as many lists as it takes until all kills are done."""

GAP = (0.3, 1.7)
"""Seconds between two kills."""

REPEATED_LIMIT = 0.05
"""Requests beyond the first one for each URL, as a share of the URLs."""

STARTED = dg.DagsterEventType.STEP_WORKER_STARTED
ENDED = (
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
)

MOST_KILLS = 2
"""Kills of one step: it is retried as often, and a run in which one is killed once more fails."""


def test_a_hundred_kills_repeat_few_requests(home: Path, tmp_path: Path, figures: Path) -> None:
    moments = random.Random(17)
    out = tmp_path / "out"
    killed, lists = Counter[str](), 0
    with Origin() as origin:
        while killed.total() < KILLS:
            lists += 1
            urls = [origin.url(f"jpeg/tiny-sunset.jpg?list={lists}&n={n}") for n in range(ENTRIES)]
            manifest = write_manifest(tmp_path, urls, f"list-{lists}.txt")
            arguments = ("--manifest", manifest, "--destination", out, "--json")
            with RunningCommand(home, tmp_path, *arguments, cold=True) as command:
                lock = out / "_relay" / manifest.stem / "receipts" / "lock.json"
                until(lock.exists, 60, "the run is being planned")
                killed += kill_steps(command, home, moments, KILLS - killed.total())
                ran = command.wait(300)
            assert ran.code == 0, ran.err
            # What a killed `plan` had stored is unchanged for its second start.
            assert ran.summary["uploaded"] + ran.summary["unchanged"] == ENTRIES
        asked = Counter({target: count for target, count in origin.hits.items() if "list=" in target})
    entries = lists * ENTRIES
    repeated = asked.total() - len(asked)
    measured = {"entries": entries, "kills": dict(killed), "repeated": repeated}
    print(measured, flush=True)
    (figures / "kills.json").write_text(json.dumps(measured, indent=2))
    assert len(asked) == entries
    assert len(images(files(out))) == entries
    assert not [path for path in out.rglob("*") if "#" in path.name or ".partial" in path.parts]
    assert repeated <= REPEATED_LIMIT * entries


def kill_steps(command: RunningCommand, home: Path, moments: random.Random, kills: int) -> Counter[str]:
    """Kill processes of steps until the command has ended or there were enough kills; returns the kills by op."""
    killed = Counter[str]()
    while command.process.poll() is None and killed.total() < kills:
        time.sleep(moments.uniform(*GAP))
        steps = {pid: step for pid, step in at_work(command, home).items() if killed[step] < MOST_KILLS}
        if steps:
            pid, step = moments.choice(sorted(steps.items()))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed[step] += 1
    ops = Counter[str]()
    for step, count in killed.items():
        ops[step.partition("[")[0]] += count
    return ops


def at_work(command: RunningCommand, home: Path) -> dict[int, str]:
    """The processes that execute a step just now, with its key."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = next(iter(instance.get_runs(limit=1)), None)
        if run is None or run.is_finished:
            return {}
        logs = instance.all_logs(run.run_id, of_type={STARTED, *ENDED})
    working: dict[str, int] = {}
    for entry in logs:
        event = entry.dagster_event
        assert event is not None
        assert event.step_key is not None
        if event.event_type is STARTED:
            working[event.step_key] = int(str(event.engine_event_data.metadata["pid"].value))
        else:
            working.pop(event.step_key, None)
    living = set(command.processes())
    return {pid: step for step, pid in working.items() if pid in living}
