"""What people get from a finished run: its results as a table or CSV with their own columns, and its report again."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.conftest import Ran
from tests.support.command import run_folder


@pytest.fixture(scope="module")
def manifest(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list with products: one is stored, one is gone, one line is malformed."""
    path = tmp_path_factory.mktemp("people") / "products.csv"
    rows = [("url", "sku", "name"), (origin.url("jpeg/small-dawn.jpg"), "A-1", 'Chair, "oak"')]
    rows += [(origin.url("bad/gone.jpg"), "A-2", "=cmd"), ("", "A-3", "no picture")]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_failures_are_found_by_the_columns_that_people_know(
    imgrelay: Callable[..., Ran], manifest: Path, tmp_path: Path
):
    config = tmp_path / "config.yaml"
    config.write_text("carry: [sku, name]\ntolerated_failure_percentage: 90\n")
    ran = imgrelay("run", "--manifest", manifest, "--config", config, "--destination", tmp_path / "out")
    assert ran.code == 0, ran.err
    where = ("--destination", tmp_path / "out")

    rows = list(csv.DictReader(io.StringIO(imgrelay("results", "--csv", *where).out)))
    assert [(row["sku"], row["name"], row["outcome"]) for row in rows] == [
        ("A-1", 'Chair, "oak"', "uploaded"),
        ("A-2", "=cmd", "failed"),
        ("A-3", "no picture", "failed"),
    ]
    assert rows[1]["http_status"] == "410"
    assert "no longer exists" in rows[1]["what_to_do"]
    failed = imgrelay("results", "--failed", "--column", "sku", *where)
    assert [line.split("\t")[3] for line in failed.out.splitlines()] == ["A-2", "A-3"]
    unknown = imgrelay("results", "--column", "color", *where)
    assert (unknown.code, "did not carry a column 'color'; it carried sku, name" in unknown.err) == (2, True)

    folder = run_folder(tmp_path / "out")
    with (folder / "failed.csv").open(newline="") as file:
        assert [row["sku"] for row in csv.DictReader(file)] == ["A-2", "A-3"]
    written = {name: (folder / name).read_text() for name in ("report.html", "failed.csv")}
    for name in written:
        (folder / name).unlink()
    again = imgrelay("report", folder.name[:8], *where)
    assert again.out.strip() == str(folder / "report.html"), again.err
    assert (folder / "failed.csv").read_text() == written["failed.csv"]
    page = (folder / "report.html").read_text()
    for part in ("gone.jpg", "frame.png", "up to 90 % are tolerated"):
        assert part in page
        assert part in written["report.html"]
    ended = re.compile(r"<dt>ended</dt><dd>[^<]+</dd>")
    assert ended.findall(page) == ended.findall(written["report.html"]) != []


def test_a_run_is_compared_with_the_one_before(imgrelay: Callable[..., Ran], origin: Origin, tmp_path: Path):
    lists = {1: ("jpeg/small-dawn.jpg?1", "bad/gone.jpg"), 2: ("jpeg/small-dawn.jpg?2", "bad/gone.jpg")}
    found = []
    for paths in lists.values():
        (tmp_path / "pets.txt").write_text("".join(f"{origin.url(path)}\n" for path in paths))
        ran = imgrelay("run", "--manifest", tmp_path / "pets.txt", "--destination", tmp_path / "out",
                       "--tolerated-failure-percentage", "60", "--json")  # fmt: skip
        assert ran.code == 0, ran.err
        found.append(json.loads(ran.out.splitlines()[-1]))
    first, second = found
    assert "compared" not in first
    compared = second["compared"]
    assert (compared["run_id"], compared["new"], compared["gone"], compared["failed_again"]) == (
        first["run_id"], 1, 1, 1,
    )  # fmt: skip
    page = (tmp_path / "out/_relay/pets/runs" / second["run_id"] / "report.html").read_text()
    for words in ("Compared with the previous run", "gone from the list", "failed then and now", first["run_id"]):
        assert words in page
    assert second["started_at"] <= second["ended_at"]  # in whole seconds


def test_an_empty_list_is_a_success_that_says_so_in_its_first_line(imgrelay: Callable[..., Ran], tmp_path: Path):
    (tmp_path / "none.txt").write_text("# no line yet\n")
    ran = imgrelay("run", "--manifest", tmp_path / "none.txt", "--destination", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].split(maxsplit=1) == ["status", "success, though the list is empty"]
    report = run_folder(tmp_path / "out") / "report.html"
    assert "The list is empty: it has no line with a URL." in report.read_text()


def test_a_blocked_address_counts_no_request(imgrelay: Callable[..., Ran], tmp_path: Path):
    out = tmp_path / "out"
    ran = imgrelay("run", "http://10.0.0.1/a.jpg", "--destination", out, "--tolerated-failure-percentage", "100")
    assert ran.code == 0, ran.err
    (line,) = (run_folder(out) / "results.jsonl").read_text().splitlines()
    result = json.loads(line)
    assert (result["reason"], result["attempts"]) == ("blocked_address", 0)
    assert "<b>0</b><span>requests;" in (run_folder(out) / "report.html").read_text()


def test_a_start_that_fails_names_the_path_as_given_and_leaves_no_dataset(
    imgrelay: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("http://h/a.jpg\n")
    out = tmp_path / "out"
    for arguments, named in (
        (("--manifest", "lists/missing.csv"), "'lists/missing.csv'"),
        (("--manifest", "list.txt", "--template", "missing.png"), "'missing.png'"),
    ):
        ran = imgrelay("run", *arguments, "--destination", out)
        assert ran.code in (1, 2)
        assert named in ran.err
        assert [path for path in out.rglob("*") if path.is_file()] == []
        assert not list(out.glob("_relay/*"))
