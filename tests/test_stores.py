"""Opening stores, and what their errors say."""

from pathlib import Path

import pytest

from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.stores import (
    BRIEF,
    S3Settings,
    absolute,
    explain,
    folder_of,
    is_disk_full,
    open_store,
    put,
    split_object_address,
)
from imgrelay_dagster.resources import StoresResource, build_resources


def test_a_folder_is_made_and_written_whole(tmp_path: Path):
    store = open_store(str(tmp_path / "new" / "out"))
    put(store, "a/b c/ü.jpg", b"123", "image/jpeg")
    assert (tmp_path / "new" / "out" / "a" / "b c" / "ü.jpg").read_bytes() == b"123"
    assert folder_of(store) == tmp_path / "new" / "out"


def test_one_store_object_a_process_for_one_address(tmp_path: Path):
    assert open_store(str(tmp_path)) is open_store(str(tmp_path))
    assert open_store(str(tmp_path)) is not open_store(str(tmp_path), None, BRIEF)


@pytest.mark.parametrize("address", ["s3://", "ftp://host/x", "nonsense://x"])
def test_what_is_no_store_is_refused(address: str):
    with pytest.raises(RelayError, match=r"cannot open|names no bucket"):
        open_store(address, S3Settings(unsigned=True))


def test_addresses_have_one_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("out") == absolute("./out/") == absolute(f"file://{tmp_path}/out") == str(tmp_path / "out")
    assert absolute("s3://bucket/prefix/") == "s3://bucket/prefix"


def test_an_object_address_is_cut_at_its_bucket():
    assert split_object_address("s3://bucket/a/b c.txt") == ("s3://bucket", "a/b c.txt")
    with pytest.raises(RelayError, match="names no object"):
        split_object_address("s3://bucket")


def test_a_full_disk_is_told_from_other_errors():
    assert is_disk_full(OSError(28, "No space left on device"))
    assert is_disk_full(RuntimeError("Generic LocalFileSystem error: No space left on device (os error 28)"))
    assert not is_disk_full(OSError(13, "Permission denied"))


def test_errors_are_one_line_without_the_debug_dump():
    assert explain(RuntimeError("it broke\n here\n\nDebug source:\nGeneric {}")) == "it broke here"
    assert explain(RuntimeError()) == "RuntimeError"
    assert len(explain(RuntimeError("x" * 5000))) == 300


def test_an_empty_setting_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, seaweed: SeaweedFS):
    for name, value in {**seaweed.environment(), "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL": ""}.items():
        monkeypatch.setenv(name, value)
    seaweed.create_bucket("empty-settings")
    stores = build_resources()["stores"]
    assert isinstance(stores, StoresResource)
    assert stores.open_brief("s3://empty-settings/folder").list().collect() == []
