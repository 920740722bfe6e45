"""Fixtures for the daily manifests: a folder for them, and a Dagster instance in memory."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.resources import StoresResource


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for daily manifests; no other variable of imgrelay is set."""
    for name in [name for name in os.environ if name.startswith("IMGRELAY_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "manifests"
    folder.mkdir()
    monkeypatch.setenv("IMGRELAY_MANIFESTS", str(folder))
    return folder


@pytest.fixture
def stores(tmp_path: Path) -> StoresResource:
    return StoresResource(s3=S3Resource(), staging_address=str(tmp_path / "staging"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
