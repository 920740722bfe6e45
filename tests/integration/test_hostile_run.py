"""Errors that concern a whole run, and processes that are killed."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from imgrelay_dagster.config import environment
from imgrelay_dagster.definitions import relay_job
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.monitoring.failure_reason import failure_reason
from tests.conftest import Ran
from tests.support.command import RunningCommand, assert_quiet, until
from tests.support.hostile_origin import HostileOrigin
from tests.support.stored_files import check_accounts, files, images, write_manifest

pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")

Command = Callable[..., Ran]


@pytest.fixture
def slow() -> Iterator[HostileOrigin]:
    """Serves one picture under any number of URLs, after a delay."""
    image = picture("jpeg/small-dawn.jpg")
    with HostileOrigin({"/x.jpg": (image.data, image.media_type)}) as server:
        yield server


RETRY_SECONDS = 60.0
"""Seconds for which a running run retries a store. Before the first answer of a store it retries for less."""


def slow_urls(origin: HostileOrigin, count: int, milliseconds: int) -> list[str]:
    return [origin.url(f"/latency/{milliseconds}/{number}/x.jpg") for number in range(count)]


@pytest.fixture(scope="session")
def bucket(seaweed: SeaweedFS) -> str:
    seaweed.create_bucket("trouble")
    return "trouble"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("no such bucket", "'s3://nosuchbucket' does not take objects: http://127.0.0.1:{port} answers 404 Not Found"),
        ("wrong secret", "'s3://trouble' does not take objects: http://127.0.0.1:{port} answers 403 Forbidden"),
        ("nobody listens", "'s3://trouble' does not take objects: http://127.0.0.1:1 cannot be reached: Connection"),
        ("no credentials", "no S3 credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_store_that_does_not_work_fails_the_run_before_any_download(
    imgrelay: Command, origin: Origin, seaweed: SeaweedFS, bucket: str, tmp_path: Path, case: str, message: str
):
    environment = {**seaweed.environment(), "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    if case == "wrong secret":
        environment["AWS_SECRET_ACCESS_KEY"] = "x" * 40
    elif case == "nobody listens":
        environment["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:1"
    elif case == "no credentials":
        environment = {k: v for k, v in environment.items() if k not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    name = "nosuchbucket" if case == "no such bucket" else bucket
    before, started = Counter(origin.hits), time.monotonic()
    ran = imgrelay("run", *origin.many(3), "--destination", f"s3://{name}", **environment)
    assert (ran.code, ran.out) == (1, "")
    assert message.format(port=seaweed.endpoint.rpartition(":")[2]) in ran.err
    assert len([line for line in ran.err.splitlines() if " done, " not in line]) == 1
    assert_quiet(ran.err)
    assert seaweed.secret_key not in ran.err
    assert time.monotonic() - started < RETRY_SECONDS
    assert Counter(origin.hits) == before


class InProcess:
    """Executes the job in this process, which takes a second."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self._instance = dg.DagsterInstance.ephemeral()

    def __call__(self, **form: Any) -> str | None:
        """Execute a run; returns its failure reason, or None if it succeeded."""
        form = {"destination": str(self.out), **form}
        result = relay_job().execute_in_process(run_config=form, instance=self._instance, raise_on_error=False)
        return None if result.success else failure_reason(self._instance, result.run_id)


@pytest.fixture
def in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    monkeypatch.setenv(environment.ARGUMENT_PATHS.name, json.dumps([str(tmp_path), "/proc"]))
    monkeypatch.chdir(tmp_path)
    return InProcess(tmp_path)


def test_the_lock_is_refreshed_even_if_every_step_is_short(
    in_process: InProcess, origin: Origin, monkeypatch: pytest.MonkeyPatch
):
    """Each step would refresh the lock after 20 seconds. Here each step ends at once: the host is a blocked address."""
    refreshed: list[str] = []

    def refresh(_store: object, dataset: str, _run_id: str) -> None:
        time.sleep(0.2)  # longer than the rest of the step may take
        refreshed.append(dataset)

    monkeypatch.setattr("imgrelay_dagster.ops.run_guard.refresh_lock", refresh)
    monkeypatch.setattr("imgrelay_dagster.relay.progress.announcer.ANNOUNCE_INTERVAL", 0.5)
    assert "blocked_address" in str(in_process(urls=origin.many(60), urls_per_task=1, dataset="birds"))
    assert refreshed == ["birds"] * len(refreshed)
    assert len(refreshed) >= 2


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("b.txt", b"http://h/a.jpg\nhttp://h/\xff.jpg\n", "is not UTF-8: line 2, byte 10 of that line, is 0xff"),
        ("b.txt.gz", gzip.compress(b"http://h/a.jpg\n" * 99, mtime=0)[:-20], "is cut short: its gzip data ends"),
        ("b.txt.gz", b"http://h/a.jpg\n", "is not valid gzip"),
        ("b.csv", b"adress,key\nhttp://h/a.jpg,b\n", "its columns are 'adress', 'key'"),
        ("b.xlsx", b"PK", "is a damaged Excel workbook"),
        ("gone.txt", None, "does not exist"),
    ],
)
def test_an_unreadable_manifest_fails_the_run_and_writes_nothing(
    in_process: InProcess, tmp_path: Path, name: str, data: bytes | None, message: str
):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    reason = in_process(manifest=str(tmp_path / name))
    assert message in str(reason)
    assert str(tmp_path / name) in str(reason)
    assert files(in_process.out) == {}


def test_a_missing_template_fails_the_run(in_process: InProcess, origin: Origin):
    before = Counter(origin.hits)
    assert "template 'nosuch.png' not found" in str(in_process(urls=origin.many(2), template="nosuch.png"))
    assert Counter(origin.hits) == before


def test_a_destination_that_cannot_be_written_fails_the_run(in_process: InProcess, origin: Origin, tmp_path: Path):
    (tmp_path / "file").write_text("")
    before = Counter(origin.hits)
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/imgrelay")):
        reason = str(in_process(urls=origin.many(2), destination=str(folder)))
        assert str(folder) in reason
    assert "is a file where a folder is needed" in str(
        in_process(urls=origin.many(2), destination=str(tmp_path / "file"))
    )
    assert Counter(origin.hits) == before


def test_an_empty_manifest_is_a_success(imgrelay: Command, tmp_path: Path):
    ran = imgrelay("run", "--manifest", write_manifest(tmp_path, []), "--destination", tmp_path / "out", "--json")
    assert (ran.code, ran.summary["status"], ran.summary["entries"]) == (0, "success", 0)
    assert images(files(tmp_path / "out")) == {}


def test_a_manifest_may_be_in_s3(imgrelay: Command, origin: Origin, seaweed: SeaweedFS, bucket: str, tmp_path: Path):
    seaweed.client().put_object(Bucket=bucket, Key="in/birds.txt.gz", Body=gzip.compress(origin.many(1)[0].encode()))
    options = ("--destination", tmp_path / "out", "--json")
    ran = imgrelay("run", "--manifest", f"s3://{bucket}/in/birds.txt.gz", *options, **seaweed.environment())
    assert ran.code == 0, ran.err
    assert (ran.summary["dataset"], ran.summary["uploaded"]) == ("birds", 1)
    gone = imgrelay("run", "--manifest", f"s3://{bucket}/in/gone.txt", *options, **seaweed.environment())
    assert (gone.code, gone.out) == (1, "")
    assert f"manifest 's3://{bucket}/in/gone.txt' does not exist" in gone.err
    assert_quiet(gone.err)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_dagster_home_is_named_and_the_next_launch_goes_on(
    imgrelay: Command, origin: Origin, tmp_path: Path, tiny_disk: Path
):
    small = origin.url("jpeg/small-dawn.jpg")
    manifest = write_manifest(tmp_path, [f"{small}?{n}" for n in range(300)])
    options = ("--manifest", manifest, "--destination", tmp_path / "out")
    places = {"DAGSTER_HOME": str(tiny_disk), "IMGRELAY_STAGING": str(tmp_path / "staging")}
    ran = imgrelay("run", *options, **places)
    assert ran.code == 1
    assert f"imgrelay: the Dagster instance in '{tiny_disk}' failed: " in ran.err
    assert "Traceback" not in ran.err
    subprocess.run(["mount", "-o", "remount,size=50m", str(tiny_disk)], check=True)
    again = imgrelay("run", *options, "--json", **places)
    assert again.code == 0, again.err
    assert again.summary["uploaded"] + again.summary["unchanged"] == 300


def test_a_full_staging_disk_fails_the_run_and_keeps_the_stored_images(
    imgrelay: Command, origin: Origin, tmp_path: Path, tiny_disk: Path
):
    """The first task fits; the later ones do not."""
    small, large = origin.url("jpeg/small-dawn.jpg"), origin.url("jpeg/sunset.jpg")
    manifest = write_manifest(tmp_path, [f"{small}?{n}" for n in range(20)] + [f"{large}?{n}" for n in range(60)])
    out = tmp_path / "out"
    options = ("--manifest", manifest, "--destination", out, "--urls-per-task", "20", "--max-concurrent", "1")
    ran = imgrelay("run", *options, "--json", IMGRELAY_STAGING=str(tiny_disk))
    assert ran.code == 1
    assert f"imgrelay: disk full: no space left in staging ({tiny_disk})" in ran.err
    assert_quiet(ran.err)
    assert ran.summary["status"] == "failure"
    assert ran.summary["uploaded"] >= 20
    assert (ran.summary["failed"], ran.summary["not_attempted"]) == (0, 80 - ran.summary["uploaded"])
    check_accounts(files(out), ran.summary, 80)
    assert not [path for path in tiny_disk.rglob("*") if path.is_file()]


def test_a_full_destination_fails_the_run_and_is_reported(
    imgrelay: Command, origin: Origin, home: Path, tmp_path: Path, tiny_disk: Path
):
    """The results may not fit either. Stored images stay, and each of them is complete."""
    manifest = write_manifest(tmp_path, [f"{origin.url('jpeg/sunset.jpg')}?{n}" for n in range(60)])
    options = ("--manifest", manifest, "--urls-per-task", "20", "--json")
    ran = imgrelay("run", *options, "--destination", tiny_disk)
    assert ran.code == 1
    lines = [line for line in ran.err.splitlines() if " done, " not in line]
    assert lines[0] == f"imgrelay: disk full: no space left in destination '{tiny_disk}'; free some space"
    assert_quiet(ran.err)
    stored = images(files(tiny_disk))
    assert stored
    assert all(data.endswith(b"\xff\xd9") for data in stored.values())
    assert not list(tiny_disk.rglob("*#*"))
    assert not list((home / "staging").iterdir())


def test_a_killed_step_is_retried(home: Path, slow: HostileOrigin, tmp_path: Path):
    manifest = write_manifest(tmp_path, slow_urls(slow, 60, 400))
    out = tmp_path / "out"
    with RunningCommand(home, tmp_path, "--manifest", manifest, "--destination", out, "--json") as command:
        until(lambda: len(slow.hits) > 5, 60, "downloads have started")
        os.kill(command.step_processes()[0], signal.SIGKILL)
        ran = command.wait(120)
    assert ran.code == 0, ran.err
    assert_quiet(ran.err)
    assert ran.summary["uploaded"] == 60
    check_accounts(files(out), ran.summary, 60)
    assert not list((home / "staging").iterdir())


def test_a_killed_command_leaves_no_process_and_the_next_command_finishes_the_work(
    home: Path, imgrelay: Command, slow: HostileOrigin, tmp_path: Path
):
    manifest = write_manifest(tmp_path, slow_urls(slow, 60, 400))
    options = ("--manifest", manifest, "--destination", tmp_path / "out", "--json")
    with RunningCommand(home, tmp_path, *options) as command:
        until(lambda: len(slow.hits) > 5, 60, "downloads have started")
        command.send(signal.SIGKILL)
        command.wait_until_gone(15)
    ran = imgrelay("run", *options)
    assert ran.code == 0, ran.err
    assert "was lost and has been ended" in ran.err
    assert ran.summary["uploaded"] + ran.summary["unchanged"] == 60


def test_an_unexpected_exception_fails_only_its_entry(imgrelay: Command, origin: Origin, tmp_path: Path):
    """Every interpreter started here has a defect in the engine: it cannot compose a PNG."""
    faulty = origin.url("png-alpha/rings.png")
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults" / "sitecustomize.py").write_text(
        "from imgrelay_dagster.relay.stages import composer\n"
        "sound = composer.compose_source\n"
        "def compose(source, *rest, **options):\n"
        "    if source.data.startswith(b'\\x89PNG'):\n"
        "        raise ZeroDivisionError('a fault')\n"
        "    return sound(source, *rest, **options)\n"
        "composer.compose_source = compose\n"
    )
    manifest = write_manifest(tmp_path, [origin.url("jpeg/dawn.jpg"), faulty, origin.url("jpeg/small-dawn.jpg")])
    options = ("--manifest", manifest, "--destination", tmp_path / "out", "--tolerated-failure-percentage", "50")
    ran = imgrelay("run", *options, "--json", PYTHONPATH=str(tmp_path / "faults"))
    assert ran.code == 0, ran.err
    assert ran.summary["reasons"] == {"internal_error": 1}
    rows = check_accounts(files(tmp_path / "out"), ran.summary, 3)
    assert (rows[1]["url"], rows[1]["detail"]) == (faulty, "ZeroDivisionError in compose: a fault")
