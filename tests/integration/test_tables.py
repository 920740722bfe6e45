"""`imgrelay results` and `imgrelay datasets`, on destinations that real runs have written."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from tests.conftest import ROOT, command_environment
from tests.support import warm_start

SIGNED = "?Signature=s3cr3t"


def call(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the folder in which its runs were executed."""
    return warm_start.run(
        [sys.executable, "-m", "imgrelay_dagster.cli", *arguments],
        cwd=home,
        env=command_environment(home, **environment),
        timeout=240,
    )


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Path:
    """A folder whose subfolder `out` holds two runs of dataset `birds` and one of `bees`."""
    home = tmp_path_factory.mktemp("relayed")
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    urls = [origin.url(name) for name in ("jpeg/dawn.jpg", "bad/gone.jpg", "bad/sign-in-page.jpg", "bad/empty.jpg")]
    (home / "birds.txt").write_text("\n".join([urls[0] + SIGNED, *urls[1:]]))
    for manifest in ("birds.txt", "birds.txt"):
        assert call(home, "run", "--manifest", manifest, "--tolerated-failure-percentage", "80").returncode == 0
    assert call(home, "run", urls[0], "--dataset", "bees").returncode == 0
    return home


def rows(shown: subprocess.CompletedProcess[str]) -> list[list[str]]:
    assert shown.returncode == 0, shown.stderr
    return [line.split("\t") for line in shown.stdout.splitlines()]


def records(shown: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines()]


def runs_of(home: Path, dataset: str) -> list[Path]:
    """The result folders of a dataset's runs, the latest first."""
    found = (home / "out" / "_relay" / dataset / "runs").iterdir()
    return sorted(found, key=lambda path: (path / "summary.json").stat().st_mtime, reverse=True)


def test_datasets_lists_the_totals_of_the_latest_runs(relayed: Path):
    bees, birds = rows(call(relayed, "datasets"))
    assert (bees[0], bees[2:]) == ("bees", ["success", "1", "1", "0", "1"])
    assert (birds[0], birds[2:]) == ("birds", ["success", "4", "1", "3", "2"])
    latest = runs_of(relayed, "birds")[0]
    listed = records(call(relayed, "datasets", "--json"))[1]
    assert (listed["dataset"], listed["runs"]) == ("birds", 2)
    assert {**listed["latest"], "at": None} == {"at": None, **json.loads((latest / "summary.json").read_text())}


def test_results_shows_the_latest_run_and_no_url_queries(relayed: Path):
    shown = call(relayed, "results", "--dataset", "birds")
    outcomes = [(line, outcome, reason) for line, outcome, reason, *_ in rows(shown)]
    assert outcomes == [
        ("1", "unchanged", ""),
        ("2", "failed", "http_status 410"),
        ("3", "failed", "unsupported_format"),
        ("4", "failed", "empty_body"),
    ]
    assert "s3cr3t" not in shown.stdout
    latest = runs_of(relayed, "birds")[0]
    assert f"4 of 4 lines; run {latest.name} of dataset birds: success" in shown.stderr
    assert str(latest / "report.html") in shown.stderr


def test_json_prints_the_lines_of_results_jsonl(relayed: Path):
    shown = call(relayed, "results", "--dataset", "birds", "--json")
    assert shown.stdout == (runs_of(relayed, "birds")[0] / "results.jsonl").read_text()
    assert shown.stderr == ""


def test_results_can_be_filtered(relayed: Path):
    first = runs_of(relayed, "birds")[1].name
    of_first = records(call(relayed, "results", "--dataset", "birds", "--run", first[:12], "--json"))
    assert [record["outcome"] for record in of_first] == ["uploaded", "failed", "failed", "failed"]
    failed = rows(call(relayed, "results", "--dataset", "birds", "--failed"))
    assert [row[0] for row in failed] == ["2", "3", "4"]
    empty = rows(call(relayed, "results", "--dataset", "birds", "--reason", "empty_body"))
    assert [row[0] for row in empty] == ["4"]
    assert rows(call(relayed, "results", "--dataset", "birds", "--reason", "timeout")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results"], "there are several datasets; choose one with --dataset; {out} holds bees, birds"),
        (["results", "--dataset", "wasps"], "no dataset 'wasps'; {out} holds bees, birds"),
        (["results", "--dataset", "../birds"], "no dataset '../birds'"),
        (["results", "--dataset", "bees", "--run", "nosuch"], "no run 'nosuch' in dataset 'bees'; there are "),
        (["results", "--dataset", "birds", "--run", ""], "several runs begin with '' in dataset 'birds'"),
        (["results", "--reason", "bad_mood"], "invalid choice: 'bad_mood'"),
        (["results", "--destination", "nowhere"], "nowhere' does not exist; give another one with --destination"),
        (["datasets", "--destination", "nowhere"], "nowhere' does not exist"),
        (["results", "--destination", "home"], "nothing has been relayed to {home} yet"),
    ],
)
def test_unknown_dataset_run_or_destination_is_an_error(relayed: Path, arguments: list[str], message: str):
    (relayed / "home").mkdir(exist_ok=True)
    shown = call(relayed, *arguments)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert message.format(out=relayed / "out", home=relayed / "home") in shown.stderr
    assert not (relayed / "nowhere").exists()


def test_an_empty_destination_has_no_datasets(relayed: Path, tmp_path: Path):
    shown = call(relayed, "datasets", IMGRELAY_DESTINATION=str(tmp_path))
    assert (shown.returncode, shown.stdout) == (0, "")
    assert f"nothing has been relayed to {tmp_path} yet" in shown.stderr


def test_a_dataset_whose_run_has_no_results_yet(relayed: Path, tmp_path: Path):
    (tmp_path / "_relay" / "birds" / "receipts" / "run1").mkdir(parents=True)
    shown = call(relayed, "results", "--destination", str(tmp_path))
    assert shown.returncode == 2
    assert "no run of dataset 'birds' has results yet" in shown.stderr
    ((name, _, status, *_),) = rows(call(relayed, "datasets", "--destination", str(tmp_path)))
    assert (name, status) == ("birds", "no run has ended yet")


def test_results_says_that_shard_runs_are_not_finished(relayed: Path, tmp_path: Path):
    (bees,) = runs_of(relayed, "bees")
    copy = tmp_path / "out" / "_relay" / "bees" / "runs" / bees.name
    shutil.copytree(bees, copy)
    summary = json.loads((copy / "summary.json").read_text())
    (copy / "summary.json").write_text(json.dumps({**summary, "status": "partial"}))
    shown = call(relayed, "results", "--destination", str(tmp_path / "out"))
    assert (
        "its shard runs are not finished; until they are, the lines show the state before the first of them"
        in shown.stderr
    )
    assert "shard" not in call(relayed, "results", "--dataset", "bees").stderr


def test_a_closed_pipe_ends_the_output_without_an_error(relayed: Path, tmp_path: Path):
    """The command writes 20,000 lines into a pipe; the reader takes one."""
    run = tmp_path / "_relay" / "birds" / "runs" / "run1"
    run.mkdir(parents=True)
    latest = runs_of(relayed, "birds")[0]
    (run / "summary.json").write_bytes((latest / "summary.json").read_bytes())
    (run / "results.jsonl").write_bytes((latest / "results.jsonl").read_bytes() * 5000)
    command = f"{sys.executable} -m imgrelay_dagster.cli results --destination {tmp_path}"
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -1; echo ${{PIPESTATUS[0]}}"],
        env=command_environment(relayed),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    first, code = done.stdout.splitlines()
    assert (first.split("\t")[:2], code) == (["1", "unchanged"], "0")
    whole = call(relayed, "results", "--destination", str(tmp_path))
    assert len(whole.stdout.splitlines()) == 20_000


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_the_width_of_the_terminal(relayed: Path, columns: int):
    leader, follower = pty.openpty()
    environment = command_environment(relayed, COLUMNS=str(columns))
    process = warm_start.popen(
        [sys.executable, "-m", "imgrelay_dagster.cli", "results", "--dataset", "birds"],
        cwd=relayed,
        env=environment,
        stdout=follower,
        stderr=subprocess.DEVNULL,
    )
    os.close(follower)
    shown = b""
    while piece := _read(leader):
        shown += piece
    os.close(leader)
    assert process.wait(60) == 0
    lines = shown.decode().replace("\x1b[2m", "").replace("\x1b[31m", "").replace("\x1b[0m", "").splitlines()
    assert lines[0].split() == ["LINE", "OUTCOME", "REASON", "URL", "DETAIL"][: 4 if columns == 80 else 5]
    assert lines[4].split()[:4] == ["4", "failed", "empty_body", next(_ends_with(lines[4], "/bad/empty.jpg"))]
    assert len(lines) == 5
    assert max(map(len, lines)) <= columns
    assert b"\x1b[31mfailed\x1b[0m" in shown


def _ends_with(line: str, end: str) -> Iterator[str]:
    return (word for word in line.split() if word.endswith(end))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # on Linux, the other end is closed
        return b""


def test_datasets_in_a_bucket(relayed: Path, origin: Origin, seaweed: SeaweedFS):
    seaweed.create_bucket("looking")
    access = {**seaweed.environment(), "IMGRELAY_DESTINATION": "s3://looking/here"}
    assert call(relayed, "run", origin.url("jpeg/dawn.jpg"), **access).returncode == 0
    ((name, _, status, *_),) = rows(call(relayed, "datasets", **access))
    assert (name, status) == ("adhoc", "success")
    (record,) = records(call(relayed, "results", "--json", **access))
    assert record["outcome"] == "uploaded"
