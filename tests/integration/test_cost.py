"""The cost of a run of 500 entries, in counts: event rows, processes, requests, imports, scratch space.

Counts do not depend on the speed of the machine, unlike seconds (`make bench` measures those). Counts that depend on
time, such as receipts every two seconds, are compared with the duration of the run.
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
from imgrelay_dagster.relay.html_report.shared_sources import SHOWN
from imgrelay_dagster.relay.html_report.statistics import SHEET_SIZE
from imgrelay_dagster.relay.progress.announcer import ANNOUNCE_INTERVAL
from imgrelay_dagster.relay.records.receipt_writer import FLUSH_INTERVAL
from imgrelay_dagster.relay.results.inspection import SAMPLE
from tests.conftest import ROOT
from tests.support.command import RunningCommand
from tests.support.s3_proxy import FaultyS3, Request

ENTRIES = 500
AT_ONCE = 2
TASKS = 4
"""Two per concurrent step, with 125 entries each."""

STEPS = 3 * TASKS + 2
"""The steps of the tasks, and `plan` and `report`."""

# A sitecustomize module, executed by every Python process of the command. It records each process at its start, and in
# forked processes each import of a module that was not imported before the fork.
_WATCH = """
import os, sys
def _note(*fields):
    with open({path!r}, "a") as file:
        file.write(" ".join(map(str, fields)) + "\\n")
def _started_by_popen(event, args):
    if event == "subprocess.Popen":
        _note("popen", args[0])
def _import(event, args):
    if event == "import":
        _note("import", str(os.getpid()) + ":" + args[0])
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
    """The requests that the store got. `peak` is the maximum number of bytes in packs at the same time."""

    asked: Counter[str] = field(default_factory=Counter)
    packs: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    lock: Lock = field(default_factory=Lock)

    def see(self, request: Request) -> None:
        """Count a request."""
        kind = _kind(request)
        with self.lock:
            self.asked[f"{request.method} {kind}"] += 1
            if request.method == "PUT" and kind == "pack":
                self.packs[request.key] = len(request.body)
                self.peak = max(self.peak, sum(self.packs.values()))
            if request.method == "DELETE":
                self.packs.pop(request.key, None)
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
    """The cost of the run of this module."""

    summary: dict[str, Any]
    seconds: float
    hits: Counter[str]
    store: Store
    events: Counter[str]
    watched: list[list[str]]

    def recorded(self, kind: str) -> list[str]:
        return [entry[1] for entry in self.watched if entry[0] == kind]


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
    with Origin() as origin, FaultyS3(seaweed, fault_for=store.see) as proxy:
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
        with RunningCommand(home, folder, *arguments, **proxy.environment(), **places) as running:
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


def test_one_request_to_the_origin_per_image(cost: Cost):
    assert cost.summary["uploaded"] == ENTRIES
    assert set(cost.hits.values()) == {1}
    assert cost.hits.total() == ENTRIES


def test_one_store_request_per_image_and_few_others(cost: Cost):
    asked = cost.store.asked
    assert asked["PUT image"] == ENTRIES
    # `report` reads some images: for the contact sheet, and to compare them with their records.
    assert {kind for kind in asked if kind.endswith(" image")} <= {"PUT image", "GET image"}
    assert asked["GET image"] <= SHEET_SIZE + SAMPLE + SHOWN
    # 125 small pictures fit into one pack. Download and compose write a pack per task, and the next stage reads it.
    assert (asked["PUT pack"], asked["GET pack"]) == (2 * TASKS, 2 * TASKS)
    # Receipts depend on time: each step writes them at its end, and every `FLUSH_INTERVAL` seconds.
    assert asked["PUT receipts"] <= STEPS + AT_ONCE * cost.seconds / FLUSH_INTERVAL
    # The other requests are per step (input, output, listing, deletion) and per run (ledger, results, lock).
    refreshes = cost.seconds / 10
    assert sum(number for kind, number in asked.items() if kind.endswith(" other")) <= 10 * STEPS + refreshes


def test_scratch_space_is_limited_to_the_active_tasks(cost: Cost):
    one_task = (cost.summary["bytes_in"] + cost.summary["bytes_out"]) / TASKS
    assert 0 < cost.store.peak <= (AT_ONCE + 1) * one_task
    assert cost.store.packs == {}


def test_event_rows_grow_with_steps_and_not_with_entries(cost: Cost):
    announcements = cost.events.pop("log", 0)
    assert announcements <= 1 + cost.seconds / ANNOUNCE_INTERVAL
    # 12 per step, and one more per task: `plan` yields it, `report` collects it.
    assert cost.events.total() <= 13 * STEPS
    assert cost.events.total() + announcements < ENTRIES / 2


def test_a_process_per_concurrent_step_and_no_other(cost: Cost):
    assert len(cost.recorded("fork")) == AT_ONCE + 1  # and the fork server, forked from the command
    assert len(cost.recorded("start")) == 2  # the command, and multiprocessing's resource tracker
    assert set(cost.recorded("popen")) <= {"file"}  # called by Python's `platform.architecture`


def test_steps_import_almost_nothing(cost: Cost):
    # An extension module is recorded twice in each process.
    imports = Counter(entry.partition(":")[2] for entry in set(cost.recorded("import")))
    assert [name for name, number in imports.items() if number >= AT_ONCE] == []
