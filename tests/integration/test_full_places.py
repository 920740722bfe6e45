"""Places without room: the message names the place, and the next launch goes on."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.conftest import Ran
from tests.support.command import assert_quiet
from tests.support.stored_files import write_manifest

Command = Callable[..., Ran]

URLS = 60


@pytest.fixture(params=[9, 20], ids=["while planning", "in the stages"])
def few_inodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system that takes a few files and folders."""
    folder = tmp_path / "few"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size=50m,nr_inodes={request.param}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system with few inodes can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_staging_without_inodes_is_named_and_the_next_launch_goes_on(
    imgrelay: Command, origin: Origin, tmp_path: Path, few_inodes: Path
) -> None:
    manifest = write_manifest(tmp_path, [f"{origin.url('jpeg/small-dawn.jpg')}?{n}" for n in range(URLS)])
    options = ("--manifest", manifest, "--destination", tmp_path / "out", "--json", "--urls-per-task", "5")
    ran = imgrelay("run", *options, IMGRELAY_STAGING=str(few_inodes))
    assert ran.code == 1
    (message,) = [line for line in ran.err.splitlines() if " done, " not in line]
    assert str(few_inodes) in message
    assert message.endswith("set IMGRELAY_STAGING")
    assert_quiet(ran.err)
    assert not [path for path in few_inodes.rglob("*") if path.is_file()]
    subprocess.run(["mount", "-o", "remount,nr_inodes=9000", str(few_inodes)], check=True)
    again = imgrelay("run", *options, IMGRELAY_STAGING=str(few_inodes))
    assert again.code == 0, again.err
    assert again.summary["uploaded"] + again.summary["unchanged"] == URLS
    assert not list(few_inodes.iterdir())


def test_a_run_needs_no_other_folder_for_temporary_files_than_staging(
    imgrelay: Command, origin: Origin, tmp_path: Path
) -> None:
    """The system's folder cannot be used, but is not needed."""
    gone = tmp_path / "gone"
    urls = [f"{origin.url('jpeg/small-dawn.jpg')}?{n}" for n in range(3)]
    ran = imgrelay("run", *urls, "--destination", tmp_path / "out", "--json", TMPDIR=str(gone))
    assert ran.code == 0, ran.err
    assert ran.summary["uploaded"] == 3
    assert not gone.exists()
