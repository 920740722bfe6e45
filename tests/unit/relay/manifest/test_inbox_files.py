"""The listing of a local inbox."""

import os
from pathlib import Path

import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest import inbox_files
from imgrelay_dagster.relay.manifest.inbox_files import list_inbox
from tests.support.inbox import no_list, no_store


def test_a_folder_is_listed_with_files_of_any_kind(tmp_path: Path):
    inbox = tmp_path / "inbox"
    good = ["birds.csv", "two words.TXT", "Vögel.jsonl", "a%20b#c?.ndjson", "tab\there.csv", "sub/deep/x.csv.gz"]
    for name in [*good, "readme.md", "half.csv.part", ".hidden.csv", ".git/x.csv", "_relay/birds/runs/1/failed.jsonl"]:
        path = inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (inbox / "dangling.csv").symlink_to(tmp_path / "none")
    (inbox / "loop").symlink_to(inbox)
    os.mkfifo(inbox / "pipe.csv")
    Path(os.fsdecode(os.fsencode(inbox) + b"/caf\xe9.csv")).write_text("x")
    files = {os.path.relpath(file.address, inbox): file for file in list_inbox(str(inbox), no_store, no_list)}
    assert sorted(name for name, file in files.items() if file.error is None) == sorted(good)
    assert {os.fsencode(name): file.error for name, file in files.items() if file.error} == {
        b"readme.md": "is not a manifest",
        b"half.csv.part": "is not a manifest",
        b"_relay/birds/runs/1/failed.jsonl": "is below _relay/",
        b"dangling.csv": "is a broken link",
        b"pipe.csv": "is not a file",
        b"caf\xe9.csv": "has a name that is not UTF-8",
    }
    assert len({file.key for file in files.values()}) == len(files)


def test_the_version_of_a_file_is_its_size_and_time(tmp_path: Path):
    manifest = tmp_path / "birds.csv"
    manifest.write_text("url\n")
    os.utime(manifest, ns=(1, 10**18))
    (first,) = list_inbox(str(tmp_path), no_store, no_list)
    manifest.write_text("url\nhttp://h/1.jpg\n")
    os.utime(manifest, ns=(1, 10**18))
    (longer,) = list_inbox(str(tmp_path), no_store, no_list)
    os.utime(manifest, ns=(1, 10**18 + 1))
    (later,) = list_inbox(str(tmp_path), no_store, no_list)
    assert len({first.key, longer.key, later.key}) == 3


def test_a_missing_or_overfull_inbox_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(RelayError, match="is not a folder; create it"):
        list_inbox(str(tmp_path / "none"), no_store, no_list)
    for n in range(4):
        (tmp_path / f"{n}.csv").touch()
    monkeypatch.setattr(inbox_files, "MAX_FILES", 3)
    with pytest.raises(RelayError, match="holds more than 3 files; move the processed ones away"):
        list_inbox(str(tmp_path), no_store, no_list)
