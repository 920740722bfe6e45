"""`imgrelay init` sets up a folder that Dagster accepts, and never overwrites what is there."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from tests.conftest import ROOT, Ran

FILES = ("dagster.yaml", "workspace.yaml", "templates/badge.png", "templates/frame.png")


def test_a_new_folder_is_set_up_for_dagster(imgrelay: Callable[..., Ran], tmp_path: Path):
    done = imgrelay("init", "new/here")
    assert done.code == 0, done.err
    folder = tmp_path / "new" / "here"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == sorted(FILES)
    assert done.out.count("written") == len(FILES)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 2
    for name in ("dagster.yaml", "workspace.yaml"):
        assert (ROOT / name).read_bytes() == (folder / name).read_bytes()


def test_existing_files_are_kept(imgrelay: Callable[..., Ran], tmp_path: Path):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    done = imgrelay("init")
    assert done.code == 0, done.err
    assert f"kept    {tmp_path / 'dagster.yaml'}" in done.out
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"
    assert (tmp_path / "templates" / "frame.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_named(imgrelay: Callable[..., Ran], tmp_path: Path, name: str):
    (tmp_path / "file").write_text("")
    done = imgrelay("init", name)
    assert done.code == 2
    assert done.err.startswith(f"imgrelay: '{name}' cannot be set up: ")
    assert "Traceback" not in done.err
