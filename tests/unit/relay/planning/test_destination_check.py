"""The check of the destination before a run."""

from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import LocalStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.planning.destination_check import check_destination
from imgrelay_dagster.relay.settings import Settings

SETTINGS = Settings(dataset="birds", destination="memory")


def test_the_error_names_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_relay").write_text("in the way")
    store = LocalStore(tmp_path / "out")
    with pytest.raises(RelayError, match=r"destination '.*/out' does not take objects"):
        check_destination(lambda _: store, replace(SETTINGS, destination=str(tmp_path / "out")), "r")
