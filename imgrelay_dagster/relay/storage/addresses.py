"""Addresses of stores and objects: `s3://bucket/prefix`, a local folder, or another URL that obstore opens."""

import errno
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from imgrelay_dagster.relay.errors import RelayError

_URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")


def is_remote(address: str) -> bool:
    """Whether `address` is a URL (`s3://...`) and not a local path or a `file://` URL."""
    return bool(_URL.match(address)) and not address.startswith("file://")


def is_s3(address: str) -> bool:
    """Whether `address` is an `s3://` URL, of S3 itself or of an S3-compatible store."""
    return address.startswith("s3://")


def scheme_of(address: str) -> str | None:
    """The scheme of a remote address, such as `s3`; None for a local one."""
    return address.partition("://")[0].lower() if is_remote(address) else None


def absolute(address: str) -> str:
    """The address in its normal form: a local path as an absolute path, a URL without trailing slashes.

    Raises:
        RelayError: the address is not a valid path: an unknown user's home, a symlink loop, a NUL byte, not UTF-8.
    """
    if is_remote(address):
        scheme, location = address.split("://", 1)
        return f"{scheme}://{location.rstrip('/')}"
    try:
        return _resolve(address.removeprefix("file://"))
    except OSError as error:
        raise RelayError(f"{address!r} is not a valid path: {error.strerror}") from error
    except ValueError as error:
        raise RelayError(f"{address!r} is not a valid path: {error}") from error


def _resolve(path: str) -> str:
    """The absolute path without symbolic links.

    Python versions differ in how they report an unusable path, and in whether they do, so this function checks for
    each defect itself.

    Raises:
        ValueError: the path is not valid; says why.
        OSError: the current folder no longer exists.
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


def split_object_address(address: str) -> tuple[str, str]:
    """Split an object's address into its store's address and its key (`s3://b/a/x.txt`: `s3://b` and `a/x.txt`).

    Raises:
        RelayError: the address does not name an object.
    """
    if not is_remote(address):
        path = Path(absolute(address))
        return str(path.parent), path.name
    parts = urlsplit(address)
    key = address.split("://", 1)[1].partition("/")[2]
    if not parts.netloc or not key or key.endswith("/"):
        raise RelayError(f"address {address!r} names no object; write s3://bucket/path/to/object")
    return f"{parts.scheme}://{parts.netloc}", key
