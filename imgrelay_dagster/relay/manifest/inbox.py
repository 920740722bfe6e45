"""Decides which manifests of an inbox get a run now, and what to remember between two scans.

`keys_with_run` is the source of truth about existing runs, and it is queried in batches of bounded size. The cursor
only saves queries: if it is lost or reset, still no manifest gets two runs, and none is missed.
"""

from base64 import b64decode, b64encode
from binascii import Error as InvalidBase64
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Self

from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.manifest.inbox_files import DIGEST_BYTES, InboxFile


@dataclass(frozen=True, slots=True)
class InboxCursor:
    """What one scan remembers for the next: digests of files.

    Attributes:
        done: existing files that need no further work.
        seen: existing files that the scan saw in their present version, without those in `done`.
    """

    done: frozenset[bytes] = frozenset()
    seen: frozenset[bytes] = frozenset()

    def dump(self) -> str:
        """Serialize to JSON, at most 8 characters per file."""
        return _cursor_json.dump_json(_StoredCursor(_encode(self.done), _encode(self.seen))).decode()

    @classmethod
    def load(cls, text: str | None) -> Self:
        """Parse what `dump` returned; an invalid text gives an empty cursor."""
        with suppress(ValidationError, InvalidBase64):
            stored = _cursor_json.validate_json(text or "")
            return cls(_decode(stored.done), _decode(stored.seen))
        return cls()


@dataclass(slots=True)
class InboxScan:
    """The result of a scan.

    Attributes:
        ready: manifests that get a run now, those that have waited longest first.
        deferred: the number of further ready manifests, which exceed the limit of this scan.
        unstable: manifests that may still be being written; they are ready if the next scan finds them unchanged.
        ignored: files that are not manifests or are refused; each is listed once.
        handled: the number of manifests that already have a run.
        cursor: what to remember for the next scan.
    """

    ready: list[InboxFile] = field(default_factory=list)
    deferred: int = 0
    unstable: list[InboxFile] = field(default_factory=list)
    ignored: list[InboxFile] = field(default_factory=list)
    handled: int = 0
    cursor: InboxCursor = field(default_factory=InboxCursor)


def scan_inbox(
    files: Collection[InboxFile],
    cursor: InboxCursor,
    *,
    limit: int,
    keys_with_run: Callable[[list[str]], set[str]],
    refusal: Callable[[InboxFile], str | None],
    atomic: bool,
) -> InboxScan:
    """Decide which of the files get a run now.

    A manifest stays ready until `keys_with_run` returns its key, because a requested run may never be created.

    Args:
        files: all files in the inbox.
        cursor: the cursor of the previous scan.
        limit: manifests that may get a run in this scan.
        keys_with_run: returns those of the given keys, at most `limit` in a call, that already have a run.
        refusal: returns why no run of this manifest can be requested, or None.
        atomic: files appear complete, as S3 objects do. Otherwise a file is ready only if the previous scan saw the
            same version.
    """
    scan = InboxScan()
    done: set[bytes] = set()
    ready: list[InboxFile] = []
    for file in files:
        if file.digest in cursor.done:
            done.add(file.digest)
            scan.handled += file.error is None
        elif file.error is not None:
            scan.ignored.append(file)
        elif atomic or file.digest in cursor.seen:
            ready.append(file)
        else:
            scan.unstable.append(file)
    ready.sort(key=lambda file: (file.modified, file.address))
    done.update(_select(ready, scan, limit, keys_with_run, refusal))
    if not scan.ready:  # a scan that requests runs shows no message, so ignored files are reported by a later one
        done.update(file.digest for file in scan.ignored)
    seen = set() if atomic else {file.digest for file in (*ready, *scan.unstable)}
    scan.cursor = InboxCursor(frozenset(done), frozenset(seen - done))
    return scan


def _select(
    ready: list[InboxFile],
    scan: InboxScan,
    limit: int,
    keys_with_run: Callable[[list[str]], set[str]],
    refusal: Callable[[InboxFile], str | None],
) -> Iterator[bytes]:
    """Add the files that get a run now to `scan.ready`; yield the digests of those that already have one."""
    for start in range(0, len(ready), limit):
        batch = ready[start : start + limit]
        existing = keys_with_run([file.key for file in batch])
        for file in batch:
            if file.key in existing:
                scan.handled += 1
                yield file.digest
            elif len(scan.ready) == limit:
                scan.deferred += 1
            elif error := refusal(file):
                scan.ignored.append(replace(file, error=error))
            else:
                scan.ready.append(file)
        if len(scan.ready) == limit:
            scan.deferred += len(ready) - start - len(batch)
            return


@dataclass(frozen=True, slots=True)
class _StoredCursor:
    done: str
    seen: str


_cursor_json = TypeAdapter(_StoredCursor)


def _encode(digests: frozenset[bytes]) -> str:
    return b64encode(b"".join(sorted(digests))).decode()


def _decode(text: str) -> frozenset[bytes]:
    data = b64decode(text, validate=True)
    return frozenset(data[start : start + DIGEST_BYTES] for start in range(0, len(data), DIGEST_BYTES))
