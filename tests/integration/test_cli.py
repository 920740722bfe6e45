"""The command `imgrelay run`: its output, streams and exit codes."""

import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from imgrelay_dagster.demo.origin import Origin
from tests.conftest import ROOT, Ran, command_environment
from tests.support.command import assert_quiet, read_summary, run_folder
from tests.support.stored_files import files, images, write_manifest

Command = Callable[..., Ran]


@pytest.mark.parametrize(
    ("redirections", "encoding", "summary"),
    [
        ("", "ascii", True),
        (">&-", "utf-8", False),
        ("<&- >&- 2>&-", "utf-8", False),
    ],
)
def test_a_successful_run_does_not_fail_on_unusable_standard_streams(
    origin: Origin, home: Path, tmp_path: Path, redirections: str, encoding: str, summary: bool
):
    out = tmp_path / "ä 鳥 🐦"
    command = [sys.executable, "-m", "imgrelay_dagster.cli", "run", origin.url("jpeg/dawn.jpg"), "--json"]
    line = f"{shlex.join([*command, '--dataset', 'birds', '--destination', str(out)])} {redirections}"
    environment = {**command_environment(home), "PYTHONIOENCODING": encoding}
    done = _call(["bash", "-c", line], environment, tmp_path)
    # A run of more than ten seconds, on a busy machine, also prints its progress.
    errors = [line for line in done.stderr.splitlines() if not re.match(r"imgrelay: .* (of 1 done|planned)", line)]
    assert (done.returncode, errors) == (0, [])
    assert read_summary(out)["uploaded"] == 1
    assert (json.loads(done.stdout) == read_summary(out)) if summary else (done.stdout == "")
    shown = _call([*command[:3], "results", "--destination", str(out)], environment, tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert ("\\u9ce5" in shown.stderr) == (encoding == "ascii")


def _call(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)


def test_json_prints_the_summary_and_options_override_the_config_file(
    imgrelay: Command, origin: Origin, tmp_path: Path
):
    """Also covers a relative destination, a template given by its path, and a URL given twice."""
    Image.new("RGBA", (8, 8), (0, 0, 255, 255)).save(tmp_path / "blue.png")
    (tmp_path / "run.yaml").write_text(
        f"url_lines: {origin.url('bad/gone.jpg')}\ndestination: elsewhere\ndataset: fromfile\n"
        "output: {format: webp, quality: 40}\n"
    )
    url = origin.url("jpeg/dawn.jpg")
    options = ("--config", "run.yaml", "--format", "png", "--template", "./blue.png", "--destination", "rel/out")
    ran = imgrelay("run", url, url, *options, "--json")
    assert ran.code == 0, ran.err
    assert_quiet(ran.err)
    assert len(ran.out.splitlines()) == 1
    assert ran.summary == read_summary(tmp_path / "rel" / "out")
    assert (ran.summary["dataset"], ran.summary["entries"], ran.summary["uploaded"]) == ("fromfile", 2, 2)
    assert not (tmp_path / "elsewhere").exists()
    ((key, data),) = images(files(tmp_path / "rel" / "out")).items()
    assert key.endswith(".png")
    with Image.open(io.BytesIO(data)) as image:
        assert image.convert("RGB").getcolors() == [(image.width * image.height, (0, 0, 255))]


def test_a_run_without_any_settings_in_an_empty_folder(imgrelay: Command, origin: Origin, tmp_path: Path):
    """It prints a readable summary on standard output, and nothing else there."""
    user, here = tmp_path / "user", tmp_path / "here"
    user.mkdir()
    here.mkdir()
    ran = imgrelay("run", origin.url("jpeg/dawn.jpg"), cwd=here, HOME=str(user), DAGSTER_HOME="")
    assert ran.code == 0, ran.err
    assert_quiet(ran.err)
    shown = dict(line.split(maxsplit=1) for line in ran.out.splitlines() if not line.startswith("not attempted"))
    assert (shown["status"], shown["entries"], shown["uploaded"]) == ("success", "1", "1")
    assert (shown["images"], shown["results"]) == (str(here / "out"), str(run_folder(here / "out")))
    assert [path.name for path in here.iterdir()] == ["out"]
    assert len(images(files(here / "out"))) == 1
    assert not list((user / ".imgrelay" / "staging").iterdir())


def test_a_failed_run_exits_1_with_its_summary_and_the_reason(imgrelay: Command, origin: Origin, tmp_path: Path):
    """The destination comes from the environment."""
    manifest = write_manifest(tmp_path, [origin.url("jpeg/dawn.jpg"), origin.url("bad/gone.jpg")])
    ran = imgrelay("run", "--manifest", manifest, IMGRELAY_DESTINATION=str(tmp_path / "shelf"))
    assert ran.code == 1
    assert "1 of 2 entries failed (50.0 %), more than the tolerated 5 %" in ran.err
    assert_quiet(ran.err)
    assert re.search(r"^status +failure$", ran.out, re.MULTILINE)
    assert re.search(r"^  http_status +1$", ran.out, re.MULTILINE)
    assert read_summary(tmp_path / "shelf")["failed"] == 1


def test_a_closed_pipe_does_not_fail_the_run(origin: Origin, tmp_path: Path, home: Path):
    command = (
        f"{sys.executable} -m imgrelay_dagster.cli run {origin.url('jpeg/dawn.jpg')} | true; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=command_environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "0\n"
    assert all(" done, " in line for line in done.stderr.splitlines()), done.stderr  # progress, where the run is slow


def test_help_and_version_do_not_import_dagster():
    for option in ("--version", "--help"):
        command = [sys.executable, "-X", "importtime", "-m", "imgrelay_dagster.cli", option]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        assert "imgrelay" in done.stdout
        assert " dagster\n" not in done.stderr
