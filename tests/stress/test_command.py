"""The command at 10,000 entries: canceled in every stage by every signal, finished, and launched again."""

import json
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress.notes import read_progress
from imgrelay_dagster.resources import StoresResource
from tests.conftest import Ran
from tests.support.command import RunningCommand, assert_quiet, until
from tests.support.dagster_servers import connections
from tests.support.stored_files import check_accounts, files

ENTRIES, GONE = 10_000, 200
"""Lines of the manifest, and how many of them the origin answers with 404."""

GONE_LIMIT = 20.0
"""Seconds until the last process is gone: 10 is promised, the rest is for a busy machine."""

MOMENTS = [
    ("plan", signal.SIGINT),
    ("download", signal.SIGINT),
    ("compose", signal.SIGTERM),
    ("upload", signal.SIGINT),
    ("upload", signal.SIGTERM),
    ("compose", signal.SIGHUP),
    ("download", signal.SIGTERM),
    ("report", signal.SIGINT),
]
DISTINCT = 300
"""Different URLs of the manifest whose run is canceled in its report: it has as many lines, quickly done."""


class Watched:
    """A command at work, as its instance and its scratch space tell of it."""

    def __init__(self, home: Path, out: Path) -> None:
        self._home, self._out = home, out
        self._stores = StoresResource(s3=S3Resource(), staging_address=str(home / "staging"))

    def reaches(self, moment: str) -> None:
        """Wait until the run is there."""
        if moment == "plan":
            until(lambda: list(self._out.glob("_relay/*/receipts/lock.json")), 120, "the run is being planned")
        elif moment == "report":
            with dg.DagsterInstance.from_config(str(self._home)) as instance:
                until(lambda: self._begun(instance, "report"), 240, "the report begins")
        else:
            until(lambda: self._passed(Stage(moment)), 240, f"{moment} is at work")

    def _begun(self, instance: dg.DagsterInstance, op: str) -> bool:
        run = next(iter(instance.get_runs(limit=1)), None)
        if run is None or run.is_finished:
            return False
        started = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
        return any(event.step_key == op for event in started)

    def _passed(self, stage: Stage) -> int:
        return sum(read_progress(self._stores.staging(run_id)).passed[stage] for run_id in self._stores.staged_runs())


def counted(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["outcome"] for row in rows)


def test_the_command_is_canceled_finished_and_launched_again(home: Path, tmp_path: Path, figures: Path):
    delay = random.Random(11)
    out, watched = tmp_path / "out", Watched(home, tmp_path / "out")
    measured: list[dict[str, object]] = []
    with Origin() as origin:
        urls = [origin.url(f"jpeg/tiny-sunset.jpg?n={n}") for n in range(ENTRIES - GONE)]
        urls += [origin.url(f"bad/gone.jpg?n={n}") for n in range(GONE)]
        delay.shuffle(urls)
        (tmp_path / "birds.txt").write_text("".join(f"{url}\n" for url in urls))
        late = [origin.url(f"jpeg/tiny-sunset.jpg?late={n % DISTINCT}") for n in range(ENTRIES)]
        (tmp_path / "late.txt").write_text("".join(f"{url}\n" for url in late))
        birds = ("--manifest", tmp_path / "birds.txt", "--destination", out, "--json")
        for moment, number in MOMENTS:
            report = moment == "report"
            form = ("--manifest", tmp_path / "late.txt", "--destination", tmp_path / "late", "--json")
            with RunningCommand(home, tmp_path, *(form if report else birds)) as command:
                watched.reaches(moment)
                time.sleep(0 if report else 0.5 * delay.random())
                began = time.monotonic()
                command.send(number, group=number == signal.SIGINT)
                ran = command.wait(GONE_LIMIT)
                command.wait_until_gone(2)
                gone = time.monotonic() - began
            measured.append({"moment": moment, "signal": signal.Signals(number).name, "gone": round(gone, 1)})
            print(measured[-1], ran.out.strip()[-200:], flush=True)
            _check_canceled(ran, home, tmp_path / "late" if report else out, moment)
            until(lambda: connections(origin.port) == 0, 3, "every connection is closed")

        before = Counter(origin.hits)
        finished, seconds = _launch(home, tmp_path, *birds)
        rows = check_accounts(files(out), finished.summary, ENTRIES)
        assert counted(rows) == Counter(
            {"uploaded": finished.summary["uploaded"], "unchanged": finished.summary["unchanged"], "failed": GONE}
        )
        assert finished.summary["unchanged"] > 0
        assert (Counter(origin.hits) - before).total() <= ENTRIES - finished.summary["unchanged"]

        before = Counter(origin.hits)
        again, seconds = _launch(home, tmp_path, *birds)
        measured.append({"redrive of a finished run": round(seconds, 1)})
        print(measured[-1], flush=True)
        assert Counter(origin.hits) == before, "an origin was asked for what was done"
        assert again.summary["unchanged"] == ENTRIES - GONE
        assert again.summary["reasons"] == {"http_status": GONE}

        failed = out / "_relay" / "birds" / "runs" / again.summary["run_id"] / "failed.jsonl"
        options = ("--destination", out, "--json", "--tolerated-failure-percentage", "100")
        same, _ = _launch(home, tmp_path, "--manifest", failed, *options)
        assert (same.summary["dataset"], same.summary["failed"]) == ("birds", GONE)
        assert Counter(origin.hits) == before
        (tmp_path / "again.yaml").write_text("retry_permanent: true\n")
        asked, _ = _launch(home, tmp_path, "--manifest", failed, *options, "--config", tmp_path / "again.yaml")
        assert asked.summary["reasons"] == {"http_status": GONE}
        assert sum((Counter(origin.hits) - before).values()) == GONE
    (figures / "command.json").write_text(json.dumps(measured, indent=2))


def _check_canceled(ran: Ran, home: Path, out: Path, moment: str) -> None:
    assert ran.code == 130, ran.err
    assert_quiet(ran.err)
    assert not list((home / "staging").iterdir())
    assert not list(out.glob("_relay/*/receipts/lock.json"))
    if moment == "plan":
        assert "nothing was relayed" in ran.err
        return
    assert ran.summary["status"] == "canceled"
    stored = {key: data for key, data in files(out).items() if key.startswith("_relay/")}
    folder = f"_relay/{ran.summary['dataset']}/runs/{ran.summary['run_id']}"
    rows = [json.loads(row) for row in stored[f"{folder}/results.jsonl"].splitlines()]
    assert [row["line"] for row in rows] == list(range(1, ENTRIES + 1))
    parts = ("uploaded", "unchanged", "failed", "not_attempted")
    assert {part: counted(rows)[part] for part in parts} == {part: ran.summary[part] for part in parts}
    missing = [
        row["key"] for row in rows if row["outcome"] in ("uploaded", "unchanged") and not (out / row["key"]).is_file()
    ]
    assert missing == []


def _launch(home: Path, folder: Path, *options: object) -> tuple[Ran, float]:
    began = time.monotonic()
    with RunningCommand(home, folder, *map(str, options)) as command:
        ran = command.wait(400)
        seconds = time.monotonic() - began
    assert ran.code == 0, ran.err
    return ran, seconds
