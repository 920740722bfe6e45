"""Which manifests of an inbox are due, and what to remember of it from look to look.

What has a run is decided by whoever keeps runs (`has_run`), and asked for in bounded pieces; the cursor only saves
asking again. It may be lost, or go back in time, and still no manifest is taken twice or missed.
"""

from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Self

from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.manifest.inbox_files import MARK_SIZE, InboxFile


@dataclass(frozen=True, slots=True)
class InboxCursor:
    """What a look leaves for the next one: which of the files that are there are done, and which were there before."""

    done: frozenset[bytes] = frozenset()
    seen: frozenset[bytes] = frozenset()

    def dump(self) -> str:
        """As JSON, at most 8 characters a file."""
        return _cursor_json.dump_json(_Packed(_pack(self.done), _pack(self.seen))).decode()

    @classmethod
    def load(cls, text: str | None) -> Self:
        """What `dump` wrote; empty when it is nothing of that kind."""
        with suppress(ValidationError, NoBase64):
            packed = _cursor_json.validate_json(text or "")
            return cls(_unpack(packed.done), _unpack(packed.seen))
        return cls()


@dataclass(slots=True)
class InboxScan:
    """What was found.

    Attributes:
        ready: manifests to be run now, the longest waiting first.
        deferred: how many more are ready than may be run at once.
        unstable: manifests that have to stand still first.
        ignored: files that are no manifests, each told of once.
        handled: how many manifests have had their run.
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
    most: int,
    has_run: Callable[[list[str]], set[str]],
    refusal: Callable[[InboxFile], str | None],
    whole: bool,
) -> InboxScan:
    """Decide which of the files are due.

    A manifest stays due until `has_run` knows its key, for the request for a run may come to nothing.

    Args:
        most: manifests that may be run now.
        has_run: which of the keys, at most `most` in a call, have a run already.
        refusal: why no run of this manifest can be asked for, if so.
        whole: files appear whole, as S3 objects do. Otherwise one is due once it was there in the same version before.
    """
    found = InboxScan()
    done: set[bytes] = set()
    ready: list[InboxFile] = []
    for file in files:
        if file.mark in cursor.done:
            done.add(file.mark)
            found.handled += file.trouble is None
        elif file.trouble is not None:
            found.ignored.append(file)
        elif whole or file.mark in cursor.seen:
            ready.append(file)
        else:
            found.unstable.append(file)
    ready.sort(key=lambda file: (file.modified, file.address))
    done.update(_choose(ready, found, most, has_run, refusal))
    if not found.ready:  # a look that ends in runs has no words, so that they would not be told of
        done.update(file.mark for file in found.ignored)
    seen = set() if whole else {file.mark for file in (*ready, *found.unstable)}
    found.cursor = InboxCursor(frozenset(done), frozenset(seen - done))
    return found


def _choose(
    ready: list[InboxFile],
    found: InboxScan,
    most: int,
    has_run: Callable[[list[str]], set[str]],
    refusal: Callable[[InboxFile], str | None],
) -> Iterator[bytes]:
    """Put those to be run now into `found.ready`; yields the marks of those that have their run."""
    for at in range(0, len(ready), most):
        piece = ready[at : at + most]
        with_run = has_run([file.key for file in piece])
        for file in piece:
            if file.key in with_run:
                found.handled += 1
                yield file.mark
            elif len(found.ready) == most:
                found.deferred += 1
            elif why := refusal(file):
                found.ignored.append(replace(file, trouble=why))
            else:
                found.ready.append(file)
        if len(found.ready) == most:
            found.deferred += len(ready) - at - len(piece)
            return


@dataclass(frozen=True, slots=True)
class _Packed:
    done: str
    seen: str


_cursor_json = TypeAdapter(_Packed)


def _pack(marks: frozenset[bytes]) -> str:
    return b64encode(b"".join(sorted(marks))).decode()


def _unpack(text: str) -> frozenset[bytes]:
    data = b64decode(text, validate=True)
    return frozenset(data[at : at + MARK_SIZE] for at in range(0, len(data), MARK_SIZE))
