"""Journals: what a step has in memory for its next pack, in a file, so that a killed step loses no finished download.

A pack is written when it is full, and a killed process loses it. In a local folder each download is therefore also
appended to a journal, at once: what is written to a file outlives the process. The journal is deleted as soon as its
pack is stored. A step that is started again, and the next run, read the journals that are left.

A journal holds for each download a head (`_HEAD`: a mark, the digest of the URL and the size in bytes) and its bytes.
"""

import os
import struct
from contextlib import suppress
from pathlib import Path

from imgrelay_dagster.relay.staging.originals import read_trailer, trailer
from imgrelay_dagster.relay.staging.pack_location import PackLocation

SUFFIX = ".journal"

_HEAD = struct.Struct(">8s32sQ")
_MARK = b"download"


class PackJournal:
    """The journal of one pack. Not thread-safe. A failure of the disk is ignored: writing the pack reports it.

    Args:
        path: the file, which is created by the first download.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def add(self, digest: str, data: bytes) -> None:
        """Append a download by the digest of its URL."""
        with suppress(OSError):
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.writev(self._file, [_HEAD.pack(_MARK, digest.encode(), len(data)), data])

    def delete(self) -> None:
        """Delete the journal, because its pack is stored."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._path.unlink(missing_ok=True)


def read_downloads(folder: Path, prefix: str) -> dict[str, PackLocation]:
    """The downloads in a task's folder by URL digest: in packs, in objects of their own, and in journals.

    Args:
        prefix: the folder's key in staging.
    """
    close_journals(folder)
    found: dict[str, PackLocation] = {}
    with suppress(OSError):
        for file in [path for path in folder.iterdir() if path.is_file()]:
            entries = read_trailer(file)
            for digest, (start, size) in entries.items():
                alone = len(entries) == 1 and start == 0
                found[digest] = PackLocation(f"{prefix}/{file.name}", start, size, whole_object=alone)
    return found


def close_journals(folder: Path) -> None:
    """Turn all journals in a folder into packs. Nobody may write to them any more."""
    for journal in folder.glob(f"*{SUFFIX}"):
        _close_journal(journal)


def _close_journal(journal: Path) -> None:
    """Turn a journal that a killed process left into a pack with a trailer, under another name in the same folder."""
    with suppress(OSError):
        with journal.open("r+b") as file:
            entries, end = {}, 0
            size = os.fstat(file.fileno()).st_size
            while head := _read_head(file.read(_HEAD.size)):
                digest, length = head
                start = end + _HEAD.size
                if start + length > size:  # cut off by the kill
                    break
                entries[digest] = start, length
                end = start + length
                file.seek(end)
            file.seek(end)
            file.truncate()
            file.write(trailer(entries))
        journal.rename(journal.with_suffix(""))


def _read_head(data: bytes) -> tuple[str, int] | None:
    """Digest and size of the next download; None at the end, or where the head is cut off."""
    if len(data) < _HEAD.size:
        return None
    mark, digest, length = _HEAD.unpack(data)
    return (digest.decode("ascii", "replace"), length) if mark == _MARK else None
