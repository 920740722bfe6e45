"""Downloads of earlier runs that are kept on this host, so that no server is asked for them again.

A run that is interrupted leaves downloads that are not stored yet. They are moved from its scratch space to a folder of
their dataset, and the next run of the dataset takes them up. Each file of downloads (a pack, or one large image) ends
with a trailer that says which URLs it holds, so that it can be understood without the run that wrote it. URLs are known
by their digests only, because they may be signed.
"""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.staging.pack_location import PackLocation

_END = struct.Struct(">Q8s")
_MAGIC = b"imgrelay"

MAX_TRAILER = 16 * 1024 * 1024
"""Bytes of the largest trailer that is read."""

Index = dict[str, tuple[str, int, int]]
"""By URL digest: the name of the file, and where in it the download starts and how large it is, in bytes."""


def url_digest(url: str) -> str:
    """The name by which a URL is known in trailers."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def trailer(entries: Mapping[str, tuple[int, int]]) -> bytes:
    """The end of a file of downloads. `entries`: start and size in bytes of each download, by URL digest."""
    content = json.dumps(entries).encode()
    return content + _END.pack(len(content), _MAGIC)


def read_trailer(file: Path) -> dict[str, tuple[int, int]]:
    """The downloads in a file by URL digest; empty if the file does not end with a trailer."""
    with suppress(OSError, ValueError, struct.error), file.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        stream.seek(end - _END.size)
        length, magic = _END.unpack(stream.read(_END.size))
        if magic != _MAGIC or length > min(MAX_TRAILER, end - _END.size):
            return {}
        stream.seek(end - _END.size - length)
        return {
            str(digest): (int(start), int(size)) for digest, (start, size) in json.loads(stream.read(length)).items()
        }
    return {}


class KeptOriginals:
    """The kept downloads of all datasets, in a local folder.

    A failure of the disk never fails a run: at worst the downloads are fetched again.

    Args:
        folder: has a folder for each dataset.
        limit: bytes of all downloads together. The oldest are deleted first.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit

    def keep(self, dataset: str, task_folders: Iterable[Path]) -> None:
        """Move the downloads of these tasks' scratch folders here."""
        for file in _files(folder / Stage.DOWNLOAD.value for folder in task_folders):
            if not read_trailer(file):
                continue
            kept = self._folder / dataset / file.name
            with suppress(OSError):
                kept.parent.mkdir(parents=True, exist_ok=True)
                file.rename(kept)
        self._delete_oldest()

    def index(self, dataset: str) -> Index:
        """Where the downloads of a dataset are. Of two downloads of one URL, the newer one counts."""
        return {
            digest: (file.name, start, size)
            for file in sorted(_files([self._folder / dataset]), key=_time)
            for digest, (start, size) in read_trailer(file).items()
        }

    def link(self, dataset: str, name: str, target: Path) -> bool:
        """Make a kept file available at `target`, whatever happens to it here; returns whether that worked."""
        with suppress(FileExistsError, OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(self._folder / dataset / name, target)
        return target.is_file()

    def forget(self, dataset: str) -> None:
        """Delete the downloads of a dataset."""
        shutil.rmtree(self._folder / dataset, ignore_errors=True)
        with suppress(OSError):  # other datasets have downloads
            self._folder.rmdir()

    def _delete_oldest(self) -> None:
        left = self._limit
        datasets = list(self._folder.iterdir()) if self._folder.is_dir() else []
        for file in sorted(_files(datasets), key=_time, reverse=True):
            with suppress(OSError):
                left -= file.stat().st_size
                if left < 0:
                    file.unlink()


class OriginalsOfTask:
    """Gives a download step the kept downloads of its entries.

    Args:
        index: those of the run's dataset.
        folder: the task's folder for downloads.
        prefix: the key of that folder in staging.
    """

    def __init__(self, kept: KeptOriginals, dataset: str, index: Index, folder: Path, prefix: str) -> None:
        self._kept, self._dataset, self._index = kept, dataset, index
        self._folder, self._prefix = folder, prefix

    def take(self, url: str) -> PackLocation | None:
        """Where in staging the download of this URL is; None if none is kept."""
        found = self._index.get(url_digest(url))
        if found is None:
            return None
        name, start, size = found
        if not self._kept.link(self._dataset, name, self._folder / name):
            return None
        return PackLocation(f"{self._prefix}/{name}", start, size)


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        with suppress(OSError):
            yield from [file for file in folder.iterdir() if file.is_file()]


def _time(file: Path) -> float:
    with suppress(OSError):
        return file.stat().st_mtime
    return 0.0
