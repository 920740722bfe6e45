"""Helpers for tests that read manifests."""

import io

import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.reader import read_manifest
from imgrelay_dagster.relay.manifest.rows import BadRow, Row

FILES = {
    "m.txt": "http://h/1\nhttp://h/ü\n",
    "m.csv": "url\nhttp://h/1\nhttp://h/ü\n",
    "m.jsonl": '"http://h/1"\n{"url": "http://h/ü"}\n',
}
"""The same two URLs in each format, by file name."""


def read(content: str | bytes, name: str) -> list[Row]:
    """Return all rows of a manifest with this content and name."""
    data = content.encode() if isinstance(content, str) else content
    return list(read_manifest(io.BytesIO(data), name))


def error_of(content: str | bytes, name: str) -> str:
    """Return the message of the error that the manifest raises; it must name the manifest."""
    with pytest.raises(RelayError) as caught:
        read(content, name)
    assert repr(name) in str(caught.value)
    return str(caught.value)


def bad(row: Row) -> BadRow:
    """Assert that the row is a bad row, and return it."""
    assert isinstance(row, BadRow), row
    return row


class ChunkedStream:
    """A stream whose only method is `read`; it returns at most `step` bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._rest = data
        self._step = step

    def read(self, size: int, /) -> bytes:
        size = min(size, self._step)
        head, self._rest = self._rest[:size], self._rest[size:]
        return head
