"""The metadata that Dagster shows for a run."""

import base64
import io
from pathlib import Path

import dagster as dg
import pytest
from obstore.store import LocalStore
from PIL import Image

from imgrelay_dagster.ops.metadata import INLINE_LIMIT, failure_table, summary_metadata
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.results.inspection import Inspection, inspect_destination
from tests.support.results import destination_with_results, summary

LARGEST_URI = 200_000
"""Bytes of an embedded image that Dagster's pages still show."""

ALL_REASONS = {reason.value: 10_000 - number for number, reason in enumerate(Reason)}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return destination_with_results(tmp_path)


def test_the_contact_sheet_is_one_small_image(store: LocalStore):
    metadata = summary_metadata(summary(), "/out", inspect_destination(store, "birds", "run1"))
    uri = str(metadata["contact_sheet"].value).removeprefix("![stored images](").removesuffix(")")
    assert len(uri) < LARGEST_URI
    with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))) as sheet:
        assert sheet.width > 3 * sheet.height > 600


def test_a_run_that_stored_nothing_has_no_contact_sheet():
    for inspection in (Inspection(), None):
        assert not {"contact_sheet", "failures"} & set(summary_metadata(summary(), "/out", inspection))


def test_failures_are_a_table_that_dagster_shows_inline():
    few = failure_table(summary(failed=3, reasons={"timeout": 2, "http_status": 1}))
    assert few.splitlines()[2].startswith("| `timeout` | 2 | Connecting, a silence of the server")
    assert len(few.splitlines()) == 4
    many = failure_table(summary(failed=1, reasons=ALL_REASONS))
    assert len(many) < INLINE_LIMIT
    named = sum(f"`{reason}`" in many for reason in ALL_REASONS)
    assert f"and {len(ALL_REASONS) - named} more reasons" in many


def test_the_report_is_a_link_if_the_destination_is_served(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("IMGRELAY_DESTINATION_URL", raising=False)
    assert summary_metadata(summary(), "/out")["report"] == dg.MetadataValue.path(
        "/out/_relay/birds/runs/run1/report.html"
    )
    monkeypatch.setenv("IMGRELAY_DESTINATION_URL", "https://images.example.org/framed/")
    assert summary_metadata(summary(), "/out")["report"] == dg.MetadataValue.url(
        "https://images.example.org/framed/_relay/birds/runs/run1/report.html"
    )
    monkeypatch.setenv("IMGRELAY_DESTINATION_URL", "javascript:alert(1)//")
    assert isinstance(summary_metadata(summary(), "/out")["report"], dg.PathMetadataValue)
