"""What `imgrelay run` refuses before a run is created: its arguments, config file, manifest and template."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imgrelay_dagster import cli
from imgrelay_dagster.commands import preflight
from tests.support.command import assert_quiet

Called = Callable[..., tuple[int, str, str]]
URL = "http://127.0.0.1:1/a.jpg"


@pytest.fixture
def call(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Called:
    """Call the command in this process, in an empty folder. For calls that end before a run is executed."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    for name in ("DESTINATION", "TEMPLATES", "MANIFESTS", "ARGUMENT_PATHS", "ARGUMENT_TEMPLATE", "ARGUMENT_ORIGINALS"):
        monkeypatch.setenv(f"IMGRELAY_{name}", "")

    # A process with threads, as that of the tests, must not be forked.
    monkeypatch.setattr(preflight, "call_in_child", lambda function: function())

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            code = cli.main(["run", *map(str, arguments)])
        except SystemExit as error:
            code = int(error.code or 0)
        return code, *capfd.readouterr()

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to relay: give --manifest FILE or URLs"),
        ([URL, "--frobnicate"], "unrecognized arguments: --frobnicate"),
        ([URL, "--quality", "high"], "invalid int value: 'high'"),
        ([URL, "--format", "gif"], "invalid choice: 'gif'"),
        ([URL, "--quality", "101"], "output.quality: 101 is refused"),
        ([URL, "--tolerated-failure-percentage", "-1"], "tolerated_failure_percentage: -1.0 is refused"),
        ([URL, "--urls-per-task", "0"], "urls_per_task: 0 is refused"),
        ([URL, "--max-concurrent", "0"], "max_concurrent: 0 is refused"),
        ([URL, "--dataset", "../x"], "dataset '../x' is not a valid name"),
        ([URL, "--destination", "http://host/x"], "destination 'http://host/x' is not in a known store"),
        ([URL, "--destination", "s3://"], "destination 's3://' names no bucket; write s3://bucket/prefix"),
        ([URL, "--destination", "s3:///x/"], "destination 's3:///x/' names no bucket"),
        (
            [URL, "--destination", "s3://b/x/../y"],
            "destination 's3://b/x/../y' has an empty segment, a segment of dots",
        ),
        ([URL, "--destination", "s3://b//x"], "destination 's3://b//x' has an empty segment"),
        ([URL, "--destination", "s3://b/x\ty"], "a control character; write s3://bucket/prefix or a folder"),
        ([URL, "--template", "nosuch.png"], "template 'nosuch.png' not found"),
        ([URL, "--template", "no/such.png"], "template 'no/such.png' in"),
        ([URL, "--template", "x" * 300], "not found"),
        (
            [URL, "--template", "~nosuchuser/x.png"],
            "'~nosuchuser/x.png' is not a valid path: the home folder of this user is unknown",
        ),
        ([URL, "--destination", "~nosuchuser/x"], "'~nosuchuser/x' is not a valid path"),
        (["--manifest", "~nosuchuser/x.txt"], "'~nosuchuser/x.txt' is not a valid path"),
        (["--manifest", "x" * 300 + ".txt"], "does not exist"),
        (["--manifest", "/dev/null"], "manifest '/dev/null' is a pipe or a device, not a file"),
        ([URL, "--manifest", "birds.txt"], "give exactly one of urls, url_lines and manifest"),
        (["--manifest", "nosuch.txt"], "manifest 'nosuch.txt' does not exist"),
        (["--manifest", "gopher://x/y.txt"], "write s3://bucket/path/to/list.csv or a local path"),
        ([URL, "--config", "nosuch.yaml"], "config file 'nosuch.yaml' cannot be read"),
    ],
)
def test_wrong_usage_exits_2_with_a_message(call: Called, arguments: list[str], message: str):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("urls: [http://h/a", "run.yaml', line 1, character 18 is not valid YAML"),
        ("- http://h/a", "is not a mapping of fields"),
        ("42", "is not a mapping of fields"),
        ("", "nothing to relay"),
        ("urls: [http://h/a]\nqualty: 3", "qualty is not a field of the run config"),
        ("urls: [http://h/a]\noutput: {quality: high}", "output.quality: 'high' is refused"),
        ("urls: [http://h/a]\nlayout: {opacity: 2}", "layout.opacity: 2 is refused"),
        ("urls: http://h/a", "urls: 'http://h/a' is refused"),
        ("urls: [http://h/a]\nmanifest: b.txt", "give exactly one of"),
        ("urls: [http://h/a]\n1: 2", "1 is not a field of the run config"),
        ("urls: [http://h/a]\noutput: {background: blueish}", "'blueish' is not a colour"),
        ("urls: [http://h/a]\ntemplate: [x]", "template: ['x'] is refused"),
        (b"urls: [http://h/\xff]", "cannot be read"),
        ('urls: [http://h/a]\ntemplate: "x/a\\0b"', "is not a valid path: it contains a null byte"),
        ('urls: [http://h/a]\ndestination: "a\\0b"', "is not a valid path: it contains a null byte"),
        ('manifest: "a\\0b.txt"', "is not a valid path: it contains a null byte"),
    ],
)
def test_an_invalid_config_file_exits_2_with_a_message(call: Called, tmp_path: Path, text: str | bytes, message: str):
    (tmp_path / "run.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out, err = call("--config", tmp_path / "run.yaml")
    assert (code, out) == (2, "")
    assert message in err
    assert_quiet(err)


def test_an_output_option_needs_a_mapping_in_the_config_file(call: Called, tmp_path: Path):
    (tmp_path / "run.yaml").write_text("output: png")
    code, _, err = call(URL, "--quality", "3", "--config", tmp_path / "run.yaml")
    assert (code, err) == (2, f"imgrelay: config file '{tmp_path}/run.yaml': output must be a mapping, not 'png'\n")


def test_invalid_allowed_hosts_are_refused_before_the_run(call: Called, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_ALLOWED_HOSTS", "127.0.0.1:8080")
    code, _, err = call(URL)
    assert code == 2
    assert "'127.0.0.1:8080'" in err


def test_a_manifest_name_that_is_not_utf8_is_refused(call: Called):
    Path("birds\udcff.txt").write_text(URL)
    code, _, err = call("--manifest", "birds\udcff.txt")
    assert code == 2
    assert "'birds\\udcff.txt' is not a valid path: it is not valid UTF-8" in err


def test_a_symlink_loop_is_refused(call: Called):
    Path("loop").symlink_to("loop")
    for arguments in ((URL, "--destination", "loop/x"), (URL, "--template", "loop/x"), ("--manifest", "loop/x.txt")):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "")
        assert "is not a valid path: a symbolic link in it leads back to itself" in err


def test_a_named_pipe_is_refused_as_a_manifest_without_waiting(call: Called, tmp_path: Path):
    os.mkfifo(tmp_path / "birds.txt")
    code, _, err = call("--manifest", tmp_path / "birds.txt")
    assert code == 2
    assert "is a pipe or a device, not a file; write it to a file first" in err


def test_a_template_that_is_not_an_image_is_wrong_usage(call: Called, tmp_path: Path):
    (tmp_path / "frame.png").write_text("no picture")
    code, _, err = call(URL, "--template", tmp_path / "frame.png")
    assert code == 2
    assert f"template {str(tmp_path / 'frame.png')!r} cannot be used: the body looks like text" in err


def test_a_manifest_with_an_unknown_suffix_is_wrong_usage(call: Called, tmp_path: Path):
    (tmp_path / "birds.docx").write_text("")
    code, _, err = call("--manifest", tmp_path / "birds.docx")
    assert code == 2
    assert "has no known suffix; let its name end in .txt, .csv, .tsv, .jsonl" in err


def test_an_unusable_dagster_home_is_named_in_the_message(
    call: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "file" / "home"))
    code, _, err = call(URL)
    assert code == 2
    assert f"no Dagster instance can be kept in '{tmp_path}/file/home'" in err
    (tmp_path / "dagster.yaml").write_text("no_such_setting: 1\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    code, _, err = call(URL)
    assert code == 2
    assert f"the Dagster instance in '{tmp_path}' cannot be used" in err
    assert_quiet(err)


def test_the_template_folder_takes_precedence_over_the_working_folder(
    call: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "templates").mkdir()
    monkeypatch.setenv("IMGRELAY_TEMPLATES", str(tmp_path / "templates"))
    for name in ("frame.png", "here.png"):
        Path(name).write_text("no picture")
    (tmp_path / "templates" / "frame.png").write_bytes(b"\x81\x82")
    assert "cannot be used: the body begins with bytes 81 82" in call(URL, "--template", "frame.png")[2]
    assert "cannot be used: the body looks like text" in call(URL, "--template", "here.png")[2]
