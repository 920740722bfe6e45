"""Errors about refused input show no secrets: arguments, config files, launchpad config, S3 endpoints."""

from pathlib import Path

import dagster as dg
import pytest

from imgrelay_dagster import cli
from imgrelay_dagster.commands import preflight
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.s3_settings import S3Settings
from imgrelay_dagster.relay.storage.stores import open_store
from tests.support.leaks import HOSTILE, MARK, SIGNED, USER, assert_harmless, find_secrets


@pytest.mark.parametrize(
    "endpoint",
    [f"http://{USER}@no host/", f"http://{USER}@h/", f"http://h/?{SIGNED}", f"ftp://{USER}@h/", f"{USER}@h"],
)
def test_an_endpoint_with_credentials_is_refused_without_quoting_them(endpoint: str):
    with pytest.raises(RelayError, match="AWS_ENDPOINT_URL_S3 ") as caught:
        open_store("s3://bucket/x", S3Settings(endpoint_url=endpoint))
    assert f"pw-{MARK}" not in str(caught.value)
    assert SIGNED not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--manifest", f"https://{USER}@host/m.csv?{SIGNED}"],
        ["--manifest", f"s3://{USER}@bucket/m.csv"],
        ["--manifest", f"s3://bucket/m.csv?{SIGNED}"],
        ["--manifest", f"m-{HOSTILE.replace('/', '')}.csv"],
        ["--destination", f"s3://{USER}@bucket/x", "http://host/x.jpg"],
        ["--destination", f"https://{USER}@host/x?{SIGNED}", "http://host/x.jpg"],
        ["--template", f"https://{USER}@host/frame.png?{SIGNED}", "http://host/x.jpg"],
        ["--dataset", f"http://{USER}@host/?{SIGNED}", "http://host/x.jpg"],
        ["--dataset", HOSTILE, "http://host/x.jpg"],
    ],
)
def test_a_refused_argument_shows_no_secret(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path, tmp_path: Path
):
    assert run_refused(arguments, monkeypatch, capfd, home, tmp_path) != 0


@pytest.mark.parametrize(
    "text",
    [
        f"urls: ['http://{USER}@host/x?{SIGNED}', unclosed",
        f"urls: http://{USER}@host/x?{SIGNED}\n  bad: indent",
        f"urls: 'http://{USER}@host/x?{SIGNED}'",
        f"url_lines: ['http://{USER}@host/x?{SIGNED}']",
        f"urls: [{{url: 'http://{USER}@host/x?{SIGNED}'}}]",
        f"http://{USER}@host/x?{SIGNED}",
        f"- http://{USER}@host/x?{SIGNED}",
        f"'http://{USER}@host/x?{SIGNED}': yes\nurls: [http://host/x]",
        f"urls: [http://host/x]\noutput: {{background: 'http://{USER}@host/x?{SIGNED}'}}",
    ],
)
def test_a_broken_config_file_shows_no_secret(
    text: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path, tmp_path: Path
):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    assert run_refused(["--config", str(path)], monkeypatch, capfd, home, tmp_path) == 2


def run_refused(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    home: Path,
    tmp_path: Path,
) -> int:
    """Run the command with arguments that it refuses; check its error and return its exit code."""
    monkeypatch.chdir(tmp_path)
    for name in ("TEMPLATES", "DESTINATION", "ARGUMENT_TEMPLATE", "ARGUMENT_PATHS", "ARGUMENT_ORIGINALS"):
        monkeypatch.setenv(f"IMGRELAY_{name}", "")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    # A process with threads, as that of the tests, must not be forked.
    monkeypatch.setattr(preflight, "call_in_child", lambda function: function())
    code = cli.main(["run", *arguments])
    shown = capfd.readouterr()
    assert shown.err.startswith("imgrelay: ")
    assert list(find_secrets("shown", shown.out + shown.err)) == []
    assert_harmless(shown.out + shown.err)
    return code


def test_refused_launchpad_config_shows_no_secret():
    from imgrelay_dagster.definitions import defs

    job = defs.resolve_job_def("relay")
    for config in (
        {"manifest": f"ftp://{USER}@host/m.csv?{SIGNED}"},
        {"urls": ["http://host/x"], "destination": f"s3://{USER}@bucket"},
        {"urls": ["http://host/x"], "dataset": f"http://{USER}@host/?{SIGNED}"},
    ):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - Dagster chooses the exception type
            dg.validate_run_config(job, config)
        error: BaseException | None = caught.value
        while error is not None:
            assert list(find_secrets("message", str(error))) == []
            error = error.__cause__


def test_an_invalid_run_config_is_refused_without_quoting_urls():
    with pytest.raises(RelayError) as caught:
        RelayConfig.checked({"urls": f"http://{USER}@host/x?{SIGNED}"})
    assert MARK not in str(caught.value)
