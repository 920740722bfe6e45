"""Opening the places where objects lie: `s3://bucket/prefix`, a folder, or another address obstore knows.

One obstore interface serves destination, staging and receipts. This module only opens stores, with limits on
every wait, and puts what goes wrong into words; it holds no store of its own.
"""

import errno
import functools
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore.store
from obstore.store import LocalStore, ObjectStore, S3Store

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.redact import redact, redact_text
from imgrelay_dagster.relay.storage.error_text import error_text
from imgrelay_dagster.relay.urls import check_url

_REMOTE = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")
_NO_SPACE = "os error 28"


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How to reach S3: what is None is left to the client's own defaults and the `AWS_*` environment."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    credential_provider: Callable[[], Any] | None = None
    unsigned: bool = False

    def config(self) -> dict[str, Any]:
        """The settings under obstore's names."""
        named = {
            "endpoint": self.endpoint_url,
            "region": self.region or "us-east-1",
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "session_token": self.session_token,
            "skip_signature": self.unsigned or None,
            "checksum_algorithm": "SHA256",  # the store refuses what did not arrive as it was sent
        }
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a store call may take, and for how long it is tried again, in seconds.

    Pauses between tries are drawn between `BACKOFF` and thrice the last one (below thrice they would not grow at all).
    """

    timeout: float = 30.0
    connect_timeout: float = 5.0
    retries: int = 10_000
    retry_timeout: float = 60.0


BACKOFF = {"init_backoff": timedelta(seconds=0.1), "base": 3, "max_backoff": timedelta(seconds=5)}

BULK = RetryPolicy()
"""For images: rides out a store that is away for a minute."""

INTERACTIVE = RetryPolicy(timeout=4.0, connect_timeout=2.0, retries=2, retry_timeout=3.0)
"""For what is done on the side, or while a run is being cancelled."""

PROBE = RetryPolicy(timeout=10.0, connect_timeout=3.0, retry_timeout=8.0)
"""For the first question, before work begins: rides out a hiccup, and soon tells that nobody is there."""

TRIES = 3
"""How often is tried what no client repeats by itself: an object that did not arrive as it was sent, a deletion."""

_GARBLED = re.compile(
    "<Code>(?:BadDigest|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch|IncompleteBody|RequestTimeout"
    "|ClientDisconnected)</Code>"
)


def is_remote(address: str) -> bool:
    """Whether `address` is a URL (`s3://...`) and not a folder."""
    return bool(_REMOTE.match(address)) and not address.startswith("file://")


def is_s3(address: str) -> bool:
    """Whether `address` is one of S3 or of an S3-compatible store."""
    return address.startswith("s3://")


def absolute(address: str) -> str:
    """The address in one spelling: a folder as an absolute path, a URL without its closing slashes.

    Raises:
        RelayError: it cannot be a path: nobody's home, a link to itself, a NUL, no UTF-8.
    """
    if is_remote(address):
        scheme, place = address.split("://", 1)
        return f"{scheme}://{place.rstrip('/')}"
    try:
        return _resolved(address.removeprefix("file://"))
    except OSError as error:
        raise RelayError(f"{address!r} is no path that can be used: {error.strerror}") from error
    except ValueError as error:
        raise RelayError(f"{address!r} is no path that can be used: {error}") from error


def _resolved(path: str) -> str:
    """The absolute path without symbolic links.

    Python reports what makes a path unusable in other words, or not at all, from version to version. So it is found and
    named here.

    Raises:
        ValueError: it cannot be a path; says why.
        OSError: the current folder is gone.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not valid UTF-8") from None
    if "\0" in path:
        raise ValueError("it contains a null byte")
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:
        raise ValueError("the home folder of this user is unknown") from None
    resolved = os.path.realpath(expanded)
    try:
        os.stat(resolved)  # noqa: PTH116 - from Python 3.13 on nothing else finds a loop
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError("a symbolic link in it leads back to itself") from None
    return resolved


@functools.lru_cache(maxsize=64)
def open_store(address: str, s3: S3Settings | None = None, policy: RetryPolicy = BULK) -> ObjectStore:
    """The store at `address`, one object a process for each address and policy.

    A folder is made when it is missing. Nothing is asked of a remote store yet.

    Raises:
        RelayError: the address cannot be a store.
    """
    try:
        if not is_remote(address):
            if Path(absolute(address)).is_file():
                raise RelayError(f"{address!r} is a file where a folder is needed; name another folder")
            return LocalStore(absolute(address), mkdir=True)
        options: dict[str, Any] = {
            "client_options": {
                "timeout": timedelta(seconds=policy.timeout),
                "connect_timeout": timedelta(seconds=policy.connect_timeout),
                "allow_http": True,
            },
            "retry_config": {
                "max_retries": policy.retries,
                "retry_timeout": timedelta(seconds=policy.retry_timeout),
                "backoff": BACKOFF,
            },
        }
        if is_s3(address):
            if not urlsplit(address).netloc:
                raise RelayError(f"store address {address!r} names no bucket; write s3://bucket/prefix")
            s3 = s3 or S3Settings()
            if s3.endpoint_url is not None:
                _check_endpoint(s3.endpoint_url)
            options["config"] = s3.config()
            if s3.credential_provider is not None:
                options["credential_provider"] = s3.credential_provider
            # Not by its address, which would be read as a URL: `#` ends it, `%23` is one, `..` leads upwards.
            bucket, _, prefix = absolute(address).removeprefix("s3://").partition("/")
            return S3Store(bucket, prefix=prefix or None, **options)
        return obstore.store.from_url(address, **options)
    except (obstore.exceptions.BaseError, ValueError, OSError) as error:
        raise RelayError(f"cannot open {address!r} as a store: {explain(error)}") from error


def _check_endpoint(endpoint: str) -> None:
    """Refuse an endpoint that the client would panic on, or quote with its credentials in every error."""
    try:
        check_url(endpoint)
    except EntryFailure as failure:
        raise RelayError(f"AWS_ENDPOINT_URL_S3 {redact(endpoint)!r} cannot be used: {failure.detail}") from None
    parts = urlsplit(endpoint)
    if parts.username is not None or parts.query or parts.fragment:
        raise RelayError(
            f"AWS_ENDPOINT_URL_S3 {redact(endpoint)!r} holds more than scheme, host, port and path; credentials "
            "belong in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


def split_object_address(address: str) -> tuple[str, str]:
    """An object's address cut into its store's address and its key there (`s3://b/a/x.txt` at the bucket).

    Raises:
        RelayError: the address names no object.
    """
    if not is_remote(address):
        path = Path(absolute(address))
        return str(path.parent), path.name
    parts = urlsplit(address)
    key = address.split("://", 1)[1].partition("/")[2]
    if not parts.netloc or not key or key.endswith("/"):
        raise RelayError(f"address {address!r} names no object; write s3://bucket/path/to/object")
    return f"{parts.scheme}://{parts.netloc}", key


def folder_of(store: ObjectStore) -> Path | None:
    """The folder that a store keeps its objects in, or None where it is none."""
    return Path(str(store.prefix)) if isinstance(store, LocalStore) and store.prefix else None


def put_object(
    store: ObjectStore, key: str, data: bytes | bytearray | Path, content_type: str, *, lasting: bool = True
) -> None:
    """Store one object whole or not at all: by a single checked PUT, or by a temporary file and a rename.

    Only a file may go in several parts, which become the object together.

    Args:
        lasting: the object is to survive a loss of power once this returns, as what a receipt speaks of must.
    """
    options: dict[str, Any] = {} if isinstance(data, Path) else {"use_multipart": False}
    if not isinstance(store, LocalStore):
        options["attributes"] = {"Content-Type": content_type}
    for left in reversed(range(TRIES)):
        try:
            store.put(key, data, **options)
            break
        except obstore.exceptions.BaseError as error:
            if not left or not _GARBLED.search(str(error)):
                raise
    folder = folder_of(store) if lasting else None
    if folder is not None:
        with (folder / key).open("rb") as file:
            os.fsync(file.fileno())


def delete_objects(store: ObjectStore, keys: Sequence[str]) -> None:
    """Delete objects; those that are gone already are no trouble.

    S3 is asked by POST, which no client repeats by itself when the connection breaks.
    """
    if isinstance(store, LocalStore):
        for key in keys:
            with suppress(FileNotFoundError):
                store.delete(key)
        return
    for left in reversed(range(TRIES)):
        try:
            store.delete(keys)
            return
        except FileNotFoundError:
            return
        except obstore.exceptions.PermissionDeniedError:
            raise
        except obstore.exceptions.BaseError:
            if not left:
                raise
            time.sleep(0.2 * (TRIES - left))


def is_missing_bucket(error: BaseException) -> bool:
    """Whether what was not found is the bucket itself."""
    return "<Code>NoSuchBucket</Code>" in str(error)


def is_disk_full(error: BaseException) -> bool:
    """Whether a store's error says that no space is left."""
    return _NO_SPACE in str(error) or getattr(error, "errno", None) == 28


def explain(error: BaseException) -> str:
    """What a store's error says, in words, as one line of at most 300 characters."""
    return redact_text(error_text(str(error)))[:300] or type(error).__name__
