"""A manifest on the web: downloaded by the same guarded client as the images, then read like a local file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.fetch.downloader import Downloader
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.reader import read_manifest
from imgrelay_dagster.relay.manifest.rows import Row
from imgrelay_dagster.relay.manifest_formats import manifest_format
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.storage.scratch_files import scratch_file

MAX_BYTES = 4 * 1024**3
"""Bytes of a manifest that is downloaded."""

DEADLINE = 900.0
"""Seconds that its download may take."""

_STARTS = ((b"PAR1", ".parquet"), (b"PK", ".xlsx"), (b"[", ".json"), (b"{", ".json"))


def is_web(address: str) -> bool:
    """Whether a manifest's address is a URL of the web."""
    return address.startswith(("https://", "http://"))


def shown_address(address: str) -> str:
    """A manifest's address as run tags show it: a URL of the web without user info and query."""
    return redact(address) if is_web(address) else address


def manifest_limits(limits: Limits) -> Limits:
    """The limits of the download of a manifest, which is larger than an image."""
    return replace(limits, max_bytes=MAX_BYTES, deadline=DEADLINE, threads=1, per_host=1)


def web_rows(url: str, downloader: Downloader, options: ReadOptions) -> Iterator[Row]:
    """Download a manifest and yield its rows. Closes the downloader.

    Raises:
        RelayError: while being iterated: it cannot be downloaded, or is not valid as a whole.
    """
    with scratch_file() as file, downloader:

        @contextmanager
        def sink() -> Iterator[IO[bytes]]:
            file.seek(0)
            file.truncate()
            yield file

        try:
            downloader.fetch(url, sink)
        except EntryFailure as failure:
            raise RelayError(f"manifest {redact(url)!r} cannot be downloaded: {failure.detail}") from None
        file.seek(0)
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
        file.seek(0)
        yield from read_manifest(cast(BinaryIO, file), redact(url) + _missing_suffix(url, start), options)


def _missing_suffix(url: str, start: bytes) -> str:
    """The suffix that the URL's path lacks: from its query (`format=csv`), else from the first bytes of the file."""
    parts = urlsplit(url)
    if manifest_format(redact(url)) is not None:
        return ""
    for name, value in parse_qsl(parts.query):
        if name in ("format", "output") and manifest_format(f".{value}") is not None:
            return f".{value}"
    return next((suffix for signature, suffix in _STARTS if start.startswith(signature)), ".csv")
