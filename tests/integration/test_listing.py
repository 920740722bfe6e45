"""Sizes of objects in a destination that also holds objects of others."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from dagster_aws.s3 import S3Resource
from obstore.store import LocalStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.outcomes import Outcome
from imgrelay_dagster.relay.planning.plan import Plan
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.listing import file_size, object_sizes
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from tests.support.listed_bucket import ListedBucket

KEYS = ["out/a.jpg", "out/eu//b.jpg", "out/two\nlines.jpg", "out/z.jpg"]


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[StoresResource]:
    """The stores of a bucket with keys that obstore rejects."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with ListedBucket(KEYS) as bucket:
        yield StoresResource(s3=S3Resource(endpoint_url=bucket.url, region_name="x"), staging_address="staging")


def test_a_bucket_with_any_keys_is_listed(stores: StoresResource) -> None:
    found = dict(object_sizes(stores.open("s3://odd/out", INTERACTIVE), partial(stores.list_any, "s3://odd/out")))
    assert found == dict.fromkeys(("a.jpg", "eu//b.jpg", "two\nlines.jpg", "z.jpg"), 5)


def test_the_error_says_what_to_do_if_obstore_rejects_a_key(stores: StoresResource) -> None:
    with pytest.raises(RelayError, match="remove that object, or leave out verify"):
        list(object_sizes(stores.open("s3://odd/out", INTERACTIVE), None))


def test_a_folder_with_any_file_names_is_verified(tmp_path: Path) -> None:
    """Also through a symlink to another folder."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "eu").symlink_to(tmp_path / "elsewhere")
    for name in (b"foreign\tname", b"foreign\xff"):
        Path(str(tmp_path / "out") + "/" + name.decode(errors="surrogateescape")).write_text("x")
    store = LocalStore(tmp_path / "out")
    settings = Settings(dataset="birds", destination=str(tmp_path / "out"), verify=True)

    def planned(run_id: str) -> Plan:
        (tmp_path / run_id).mkdir()
        rows = [ManifestRow(n, f"http://h/{n}.jpg", key=key) for n, key in enumerate(("eu/1.jpg", "2.jpg", "3.jpg"), 1)]
        templates = TemplateFolder.shipped()
        return plan_run(rows, settings, run_id=run_id, store=store, templates=templates, scratch=tmp_path / run_id)

    records = [record for task in planned("first").tasks() for record in task.records]
    assert len(records) == 3
    with ReceiptWriter(store, run_receipts_prefix("birds", "first"), "upload-x") as writer:
        for record in records:
            writer.add(replace(record, outcome=Outcome.UPLOADED, at=1.0, bytes_out=5, sha256="ab"))
    (tmp_path / "elsewhere" / "1.jpg").write_text("12345")
    (tmp_path / "out" / "3.jpg").write_text("too long")
    assert [record.line for task in planned("second").tasks() for record in task.records] == [2, 3]


def test_a_missing_file_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("12345")
    assert file_size(tmp_path, "a.jpg") == 5
    assert file_size(tmp_path, "b.jpg") is None
    assert file_size(tmp_path, "a.jpg/below.jpg") is None
