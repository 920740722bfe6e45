"""What a run of 500 entries costs, by counts: rows, processes, requests, imports, scratch.

Counts are the same on a slow machine and on a fast one, which seconds are not (those are `make bench`'s matter). What
goes by the clock, such as receipts every two seconds, is held against the time that the run took.
"""

import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.html_report.statistics import SHEET
from imgrelay_dagster.relay.progress.announcer import ANNOUNCE_INTERVAL
from imgrelay_dagster.relay.records.receipt_writer import FLUSH_INTERVAL
from imgrelay_dagster.relay.results.inspection import SAMPLE
from tests.conftest import ROOT
from tests.support.running import Running
from tests.support.s3_proxy import Request, TroubledS3

ENTRIES = 500
AT_ONCE = 2
TASKS = 4
"""Two for each step at once, of 125 entries, as the command is told."""

STEPS = 3 * TASKS + 2
"""And plan and report."""

# Read by every Python that the command starts. A process notes itself when it begins, and in forked ones each import
# of what was not loaded when they were forked.
_WATCH = """
import os, sys
def _note(*words):
    with open({path!r}, "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")
def _started_by_popen(event, args):
    if event == "subprocess.Popen":
        _note("popen", args[0])
def _import(event, args):
    if event == "import":
        _note("import", args[0])
def _forked():
    if not _forks:
        sys.addaudithook(_import)
    _forks.append(os.getpid())
    _note("fork", os.getpid())
_forks = []
_note("start", os.getpid())
sys.addaudithook(_started_by_popen)
os.register_at_fork(after_in_child=_forked)
"""


@dataclass
class Store:
    """What the store was asked, counted on its side; `peak`: bytes that lay in packs at once, of all tasks."""

    asked: Counter[str] = field(default_factory=Counter)
    packs: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    lock: Lock = field(default_factory=Lock)

    def see(self, request: Request) -> None:
        """Take note of a request that passes."""
        kind = _kind(request)
        with self.lock:
            self.asked[f"{request.method} {kind}"] += 1
            if request.method == "PUT" and kind == "pack":
                self.packs[request.key] = len(request.body)
                self.peak = max(self.peak, sum(self.packs.values()))
            for gone in re.findall(rb"<Key>(.*?)</Key>", request.body) if "delete" in request.query else ():
                self.packs.pop(gone.decode(), None)


def _kind(request: Request) -> str:
    if re.search("/(download|compose)/[0-9a-f]{32}$", request.key):
        return "pack"
    if "/notes/" in request.key or "/claims/" in request.key:
        return "note"
    if "/receipts/" in request.key:
        return "receipts"
    return "image" if request.key.startswith("out/") and "/_relay/" not in request.key else "other"


@dataclass
class Cost:
    """What the run of this module cost."""

    summary: dict[str, Any]
    seconds: float
    hits: Counter[str]
    store: Store
    events: Counter[str]
    watched: list[list[str]]

    def words(self, kind: str) -> list[str]:
        return [words[1] for words in self.watched if words[0] == kind]


@pytest.fixture(scope="module")
def cost(tmp_path_factory: pytest.TempPathFactory, seaweed: SeaweedFS) -> Iterator[Cost]:
    folder = tmp_path_factory.mktemp("cost")
    home, watch, notes = folder / "home", folder / "watch", folder / "notes"
    for made in (home, watch):
        made.mkdir()
    notes.touch()
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    (watch / "sitecustomize.py").write_text(_WATCH.format(path=str(notes)))
    seaweed.create_bucket("cost")
    store = Store()
    with Origin() as origin, TroubledS3(seaweed, trouble=store.see) as proxy:
        manifest = folder / "urls.txt"
        manifest.write_text("\n".join(origin.url(f"jpeg/tiny-sunset.jpg?n={n}") for n in range(ENTRIES)))
        began = time.monotonic()
        arguments = (
            "--manifest",
            manifest,
            "--destination",
            "s3://cost/out",
            "--max-concurrent",
            str(AT_ONCE),
            "--urls-per-task",
            str(ENTRIES // TASKS),
            "--json",
        )
        places = {"IMGRELAY_STAGING": "s3://cost/staging", "PYTHONPATH": f"{watch}:{ROOT}"}
        with Running(home, folder, *arguments, **proxy.environment(), **places) as running:
            ran = running.wait(240)
        assert ran.code == 0, ran.err
        yield Cost(
            summary=ran.summary,
            seconds=time.monotonic() - began,
            hits=origin.hits,
            store=store,
            events=_events(home),
            watched=[line.split(" ", 1) for line in notes.read_text().splitlines()],
        )


def _events(home: Path) -> Counter[str]:
    (path,) = (path for path in (home / "history" / "runs").glob("*.db") if path.stem != "index")
    with closing(sqlite3.connect(path)) as database:
        return Counter(kind or "log" for (kind,) in database.execute("SELECT dagster_event_type FROM event_logs"))


def test_the_origin_is_asked_once_for_each_image(cost: Cost):
    assert cost.summary["uploaded"] == ENTRIES
    assert set(cost.hits.values()) == {1}
    assert cost.hits.total() == ENTRIES


def test_the_store_is_asked_once_for_each_image_and_little_else(cost: Cost):
    asked = cost.store.asked
    assert asked["PUT image"] == ENTRIES
    # `report` looks at some: for the contact sheet, and to see that they are what the records say.
    assert {kind for kind in asked if kind.endswith(" image")} <= {"PUT image", "GET image"}
    assert asked["GET image"] <= SHEET + SAMPLE
    # 125 small pictures fit into one pack; each is put once, and read once, after either of two stages.
    assert (asked["PUT pack"], asked["GET pack"]) == (2 * TASKS, 2 * TASKS)
    # Receipts go by the clock: every step puts its last ones, and some each time that it has waited long enough.
    assert asked["PUT receipts"] <= STEPS + AT_ONCE * cost.seconds / FLUSH_INTERVAL
    # What is left goes by the step, its input and output, lists, deletions, and by the run: ledger, results, lock.
    renewals = cost.seconds / 10
    assert sum(number for kind, number in asked.items() if kind.endswith(" other")) <= 10 * STEPS + renewals


def test_scratch_is_that_of_the_tasks_at_work(cost: Cost):
    one_task = (cost.summary["bytes_in"] + cost.summary["bytes_out"]) / TASKS
    assert 0 < cost.store.peak <= (AT_ONCE + 1) * one_task
    assert cost.store.packs == {}


def test_event_rows_go_by_the_step(cost: Cost):
    said = cost.events.pop("log", 0)
    assert said <= 1 + cost.seconds / ANNOUNCE_INTERVAL
    # One more for each task than 12 a step: `plan` yields them, `report` takes them in.
    assert cost.events.total() <= 13 * STEPS
    assert cost.events.total() + said < ENTRIES / 2


def test_a_process_for_each_step_and_no_other(cost: Cost):
    assert len(cost.words("fork")) == STEPS + 1  # and the process that they are forked from, off the command
    assert len(cost.words("start")) == 2  # the command, and multiprocessing's tracker
    assert set(cost.words("popen")) <= {"file"}  # by which Python's `platform` tells its own word size


def test_steps_find_loaded_what_they_need(cost: Cost):
    imports = Counter(cost.words("import"))
    assert [name for name, number in imports.items() if number >= STEPS / 4] == []
