"""A folder as a manifest: every picture below a prefix of a store, or below a local folder."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from obstore.exceptions import InvalidPathError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.keys import RESERVED_ROOT
from imgrelay_dagster.relay.manifest.options import ALL, ReadOptions
from imgrelay_dagster.relay.manifest.rows import ManifestRow, Row
from imgrelay_dagster.relay.manifest_formats import suffix_of
from imgrelay_dagster.relay.storage.addresses import is_remote

PICTURE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".avif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ico",
        ".jp2",
        ".heic",
        ".heif",
        ".jxl",
    ]
)
"""Suffixes of the files that are pictures, in lower case."""

PAGE = 1000
"""Objects in one page of a listing."""


def is_folder(address: str) -> bool:
    """Whether a manifest's address names a folder: a store's address that ends in a slash, or a local folder."""
    return address.endswith("/") if is_remote(address) else Path(address).is_dir()


def folder_rows(address: str, open_store: Callable[[str], ObjectStore], options: ReadOptions) -> Iterator[Row]:
    """Yield a row for each picture, numbered from 1. Names that begin with a dot, and imgrelay's records, are skipped.

    The columns to carry are `name`, `size` (bytes), `etag` and `modified`. Size and ETag are also the version of the
    original: if they change, the entry is due again.

    Raises:
        RelayError: while being iterated, when a key cannot be listed, or there is no picture.
        BaseError, OSError: the store or the folder cannot be listed.
    """
    folder = address.rstrip("/")
    found = _objects(folder, open_store) if is_remote(address) else _files(folder)
    line = others = 0
    for name, size, etag, modified in found:
        if suffix_of(name).lower() not in PICTURE_SUFFIXES or not _is_shown(name):
            others += 1
            continue
        line += 1
        values = {"name": name, "size": str(size), "etag": etag, "modified": modified.isoformat()}
        wanted = list(values) if ALL in options.carry else options.carry
        carried = {each: values.get(each, "") for each in wanted}
        yield ManifestRow(line, f"{folder}/{name}", carried=carried, expected={"version": f"{etag}-{size}"})
    if not line:
        raise RelayError(_no_picture(address, others))
    options.report(f"{line:,} pictures are below {address}")


def _no_picture(address: str, others: int) -> str:
    """A store cannot tell a folder that is empty from one that never existed, so this is mostly a wrong address."""
    if not others:
        return f"manifest {address!r} is a folder with nothing in it; check its name"
    return (
        f"manifest {address!r} is a folder without any picture: none of the names of its {others:,} files ends in "
        ".jpg, .png or another suffix of a picture"
    )


def _is_shown(name: str) -> bool:
    segments = name.split("/")
    return RESERVED_ROOT not in segments and not any(segment.startswith(".") for segment in segments)


def _objects(folder: str, open_store: Callable[[str], ObjectStore]) -> Iterator[tuple[str, int, str, datetime]]:
    try:
        for page in open_store(folder).list(chunk_size=PAGE):
            for meta in page:
                yield meta["path"], meta["size"], (meta["e_tag"] or "").strip('"'), meta["last_modified"]
    except InvalidPathError as error:
        raise RelayError(
            f"manifest '{folder}/' cannot be listed because a key in it has a control character or an empty segment; "
            "rename that object, or name another folder"
        ) from error


def _files(folder: str) -> Iterator[tuple[str, int, str, datetime]]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            try:
                status = path.stat()
            except FileNotFoundError:  # a broken link, or deleted meanwhile
                continue
            modified = datetime.fromtimestamp(status.st_mtime, UTC)
            yield str(path.relative_to(folder)), status.st_size, f"{status.st_mtime_ns:x}", modified
