"""Scans of an inbox for the tests."""

from collections.abc import Iterator

from obstore.store import ObjectStore

from imgrelay_dagster.relay.manifest.inbox import InboxCursor, InboxScan, scan_inbox
from imgrelay_dagster.relay.manifest.inbox_files import InboxFile
from imgrelay_dagster.relay.storage.listing import ListedObject

LIMIT = 3
"""Manifests that get a run in one scan."""


def no_store(address: str) -> ObjectStore:
    """For a local inbox, which needs no store."""
    raise AssertionError(address)


def no_list(address: str) -> Iterator[ListedObject]:
    """For an inbox that needs no listing of unusual keys."""
    raise AssertionError(address)


def scan(files: list[InboxFile], cursor: InboxCursor, runs: set[str], *, atomic: bool = False) -> InboxScan:
    """Scan these files; manifests outside the inbox are refused."""

    def keys_with_run(keys: list[str]) -> set[str]:
        assert len(keys) <= LIMIT
        return runs & set(keys)

    refused = {file.key for file in files if "outside" in file.address}
    return scan_inbox(
        files,
        cursor,
        limit=LIMIT,
        keys_with_run=keys_with_run,
        refusal=lambda file: "lies outside" if file.key in refused else None,
        atomic=atomic,
    )
