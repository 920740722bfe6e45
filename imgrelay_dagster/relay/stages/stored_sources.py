"""Fetches originals from stores and local files, within the limits of a download."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from obstore.exceptions import BaseError, NotModifiedError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import EntryFailure, RelayError, Stopped
from imgrelay_dagster.relay.fetch.downloader import FetchResult, Sink
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.fetch.validators import ETAG, NO_VALIDATORS
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.storage.addresses import split_object_address
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.retry_policy import RetryPolicy
from imgrelay_dagster.relay.storage.source_access import STORE_SCHEMES, check_source, local_path

CHUNK = 256 * 1024
"""Bytes that are read at once."""

_DENIED = (PermissionDeniedError, UnauthenticatedError, PermissionError)


class StoredSources:
    """Fetches originals that are not on the web.

    Args:
        open_store: opens the store at an address such as `s3://bucket`.
        limits: those of a download: bytes, time, attempts.
        allowed: addresses of the originals that may be read.
        stop: once set, every call raises `Stopped`.
    """

    def __init__(
        self,
        open_store: Callable[[str, RetryPolicy], ObjectStore],
        limits: Limits,
        allowed: Sequence[str],
        stop: threading.Event,
    ) -> None:
        self._open_store = open_store
        self._limits, self._allowed, self._stop = limits, allowed, stop
        self._policy = RetryPolicy(
            timeout=limits.deadline,
            connect_timeout=limits.connect_timeout,
            retries=limits.attempts - 1,
            retry_timeout=limits.deadline,
        )

    def fetch(self, url: str, sink: Sink, validators: Mapping[str, str] = NO_VALIDATORS) -> FetchResult:
        """Copy an original into a sink.

        Args:
            validators: of the content that is known already, which is then not read again.

        Raises:
            EntryFailure: `not_found`, `access_denied`, `too_large`, `empty_body`, `timeout` or `connect_error`.
            Stopped: the run is being stopped.
        """
        started = time.monotonic()
        try:
            check_source(url, self._allowed)
            open_one = self._object if url.startswith(STORE_SCHEMES) else self._file
            chunks, etag = open_one(url, validators.get(ETAG))
            size = self._copy(chunks, sink, started)
        except NotModifiedError:
            return FetchResult(0, 1, 0, time.monotonic() - started, validators, unchanged=True)
        except EntryFailure as failure:
            failure.attempts = 1
            raise
        except (FileNotFoundError, NotADirectoryError):
            raise EntryFailure(Reason.NOT_FOUND, f"{redact(url)} does not exist", attempts=1) from None
        except _DENIED as error:
            raise EntryFailure(Reason.ACCESS_DENIED, explain(error), attempts=1) from None
        except RelayError as error:  # the store cannot be opened, mostly for lack of credentials
            raise EntryFailure(Reason.ACCESS_DENIED, str(error), attempts=1) from None
        except (BaseError, OSError) as error:
            raise EntryFailure(Reason.CONNECT_ERROR, explain(error), attempts=self._limits.attempts) from None
        return FetchResult(size, 1, 0, time.monotonic() - started, {ETAG: etag} if etag else NO_VALIDATORS)

    def _object(self, url: str, known: str | None) -> tuple[Iterator[bytes], str | None]:
        """The content of an object, and its ETag. Raises `NotModifiedError` if the ETag is the known one."""
        address, key = split_object_address(url)
        store = self._open_store(address, self._policy)
        found = store.get(key, options={"if_none_match": known} if known else {})
        self._check_size(found.meta["size"])
        return map(bytes, found.stream(min_chunk_size=CHUNK)), found.meta["e_tag"]

    def _file(self, url: str, known: str | None) -> tuple[Iterator[bytes], str]:
        """The content of a file, and what changes with it: time and size."""
        path = local_path(url)
        status = os.stat(path)  # noqa: PTH116 - before open: opening a pipe would wait for its writer
        if not stat.S_ISREG(status.st_mode):
            raise EntryFailure(Reason.NOT_FOUND, f"{path} is not a file")
        self._check_size(status.st_size)
        version = f"{status.st_mtime_ns:x}-{status.st_size:x}"
        if version == known:
            raise NotModifiedError(path)
        return _chunks(path), version

    def _check_size(self, size: int) -> None:
        limit = self._limits.max_bytes
        if size > limit:
            raise EntryFailure(Reason.TOO_LARGE, f"a file of {size:,} bytes exceeds the limit of {limit:,} bytes")

    def _copy(self, chunks: Iterator[bytes], sink: Sink, started: float) -> int:
        size = 0
        with sink() as body:
            for chunk in chunks:
                size += len(chunk)
                self._check_size(size)
                if self._stop.is_set():
                    raise Stopped
                if time.monotonic() - started > self._limits.deadline:
                    raise EntryFailure(Reason.TIMEOUT, f"not read within {self._limits.deadline:g} s")
                body.write(chunk)
            if size == 0:
                raise EntryFailure(Reason.EMPTY_BODY, "the file is empty")
        return size


def _chunks(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
