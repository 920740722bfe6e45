"""Folders as manifests."""

import os
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.rows import ManifestRow, Row
from imgrelay_dagster.relay.manifest.sources import open_manifest

NAMES = ("b/2.PNG", "b/.hidden/1.jpg", "notes.txt", "a.jpg", "_relay/birds/1.jpg", ".a.jpg")


def shown(rows: list[Row]) -> list[tuple[int, str, dict[str, str]]]:
    assert all(isinstance(row, ManifestRow) for row in rows)
    return [(row.line, row.url, dict(row.carried)) for row in rows if isinstance(row, ManifestRow)]


def test_every_picture_below_a_prefix_is_a_row() -> None:
    store = MemoryStore()
    for name in NAMES:
        store.put(name, b"12345")
    opened: list[str] = []

    def open_store(address: str) -> MemoryStore:
        opened.append(address)
        return store

    rows = list(open_manifest("s3://bucket/folder/", open_store, ReadOptions(carry=("name", "size", "sku"))))
    assert opened == ["s3://bucket/folder"]
    assert shown(rows) == [
        (1, "s3://bucket/folder/a.jpg", {"name": "a.jpg", "size": "5", "sku": ""}),
        (2, "s3://bucket/folder/b/2.PNG", {"name": "b/2.PNG", "size": "5", "sku": ""}),
    ]


def test_a_changed_file_has_another_version(tmp_path: Path) -> None:
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    before = list(open_manifest(str(tmp_path), lambda _: MemoryStore()))
    assert [url for _, url, _ in shown(before)] == [f"{tmp_path}/a.jpg", f"{tmp_path}/b/2.PNG"]
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    after = list(open_manifest(str(tmp_path), lambda _: MemoryStore()))
    assert [new == old for new, old in zip(after, before, strict=True)] == [False, True]


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    store = MemoryStore()
    with pytest.raises(RelayError, match=r"'s3://bucket/typo/' is a folder with nothing in it; check its name"):
        list(open_manifest("s3://bucket/typo/", lambda _: store))
    for name in ("notes.txt", ".a.jpg"):
        (tmp_path / name).write_bytes(b"12345")
    with pytest.raises(RelayError, match=r"is a folder without any picture: none of the names of its 2 files ends in"):
        list(open_manifest(str(tmp_path), lambda _: store))
