"""`imgrelay verify` and `imgrelay prune`, in this process."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import LocalStore

from imgrelay_dagster.cli import main
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.outcomes import Outcome
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.dataset_lock import acquire_lock
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings

SHA_OF_12345 = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"


class Destination:
    """A folder with the results and images of runs that are made without Dagster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "out"
        self.scratch = folder / "scratch"
        self.store = LocalStore(self.folder, mkdir=True)
        self.scratch.mkdir()
        self.runs = 0

    def run(self, *keys: str, dataset: str = "birds", whole_list: bool = True) -> int:
        """A run over lines with these keys; returns how many of them it stored."""
        self.runs += 1
        run_id = f"run{self.runs}"
        settings = Settings(dataset, str(self.folder), whole_list=whole_list)
        rows = [ManifestRow(line, f"http://h/{key}", key=key) for line, key in enumerate(keys, 1)]
        scratch = self.scratch / run_id
        scratch.mkdir()
        templates = TemplateFolder.shipped()
        plan = plan_run(rows, settings, run_id=run_id, store=self.store, templates=templates, scratch=scratch)
        left = [record for task in plan.tasks() for record in task.records]
        with ReceiptWriter(self.store, run_receipts_prefix(dataset, run_id), "upload") as receipts:
            for record in left:
                self.store.put(record.key or "", b"12345")
                stored = {"outcome": Outcome.UPLOADED, "bytes_out": 5, "sha256": SHA_OF_12345}
                receipts.add(replace(record, at=float(self.runs), **stored))
        write_results(self.store, dataset, run_id=run_id, seconds=1.0)
        return len(left)

    def images(self) -> list[str]:
        paths = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return sorted(str(path) for path in paths if path.parts[0] != "_relay")

    def command(self, *arguments: str) -> int:
        return main([*arguments, "--destination", str(self.folder)])


@pytest.fixture
def destination(tmp_path: Path) -> Destination:
    return Destination(tmp_path)


def test_verify_names_what_differs(destination: Destination, capsys: pytest.CaptureFixture[str]):
    destination.run("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    assert destination.command("verify", "--read") == 0
    capsys.readouterr()
    (destination.folder / "a.jpg").unlink()
    (destination.folder / "b.jpg").write_bytes(b"1234")
    (destination.folder / "c.jpg").write_bytes(b"54321")
    assert destination.command("verify", "--json") == 1
    told = capsys.readouterr()
    assert [json.loads(line) for line in told.out.splitlines()] == [
        {"key": "a.jpg", "problem": "missing", "expected": 5, "found": None},
        {"key": "b.jpg", "problem": "size", "expected": 5, "found": 4},
    ]
    assert "4 images of dataset birds, 2 of them differ" in told.err
    assert destination.command("verify", "--json", "--read") == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["problem"] == "sha256"


def test_prune_deletes_what_left_the_manifest(destination: Destination, capsys: pytest.CaptureFixture[str]):
    destination.run("a.jpg", "b.jpg", "c.jpg")
    destination.run("c.jpg", dataset="cats")
    assert destination.run("a.jpg") == 0
    destination.run("a.jpg", whole_list=False)
    assert destination.command("prune", "--dataset", "birds", "--dry-run") == 0
    told = capsys.readouterr()
    assert told.out == "b.jpg\n"
    assert "1 more stay, because another dataset has them too" in told.err
    assert destination.images() == ["a.jpg", "b.jpg", "c.jpg"]
    assert destination.command("prune", "--dataset", "birds", "--yes") == 0
    assert destination.images() == ["a.jpg", "c.jpg"]
    assert destination.run("a.jpg", "b.jpg") == 1, "a pruned image is relayed again when its line is back"
    assert destination.command("verify", "--dataset", "birds") == 0


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 1), ("n\n", 130, 2), ("", 130, 2)])
def test_prune_asks_first(destination: Destination, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int):
    destination.run("a.jpg", "b.jpg")
    destination.run("a.jpg")
    assert destination.command("prune") == 2, "nobody can answer"
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert destination.command("prune") == code
    assert len(destination.images()) == left


def test_prune_needs_a_whole_manifest_and_no_running_run(destination: Destination, capsys: pytest.CaptureFixture[str]):
    destination.run("a.jpg", "b.jpg", whole_list=False)
    assert destination.command("prune", "--yes") == 2
    assert "choose a run" in capsys.readouterr().err
    destination.run("a.jpg")
    acquire_lock(destination.store, "birds", "running", is_over=lambda _: False)
    assert destination.command("prune", "--yes") == 2
    assert "is being relayed by run running" in capsys.readouterr().err
    assert destination.images() == ["a.jpg", "b.jpg"]
