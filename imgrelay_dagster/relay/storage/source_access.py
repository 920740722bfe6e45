"""Originals that are not on the web: objects in stores and local files. Which of them a run may read."""

import os
from collections.abc import Sequence

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.urls import check_url

ANYTHING = "*"
"""In a list of allowed originals: every address, for the user of the command line."""

STORE_SCHEMES = ("s3://", "gs://", "az://")


def is_stored(url: str) -> bool:
    """Whether a URL names an object of a store or a local file, and not something on the web."""
    return url.startswith((*STORE_SCHEMES, "file:///", "/"))


def check_source(url: str, allowed: Sequence[str]) -> None:
    """Check that a URL can be fetched, and that a stored original is one that runs may read.

    Args:
        allowed: addresses of stores and folders whose originals may be read, or `ANYTHING`.

    Raises:
        EntryFailure: `bad_url` or `access_denied`.
    """
    if not is_stored(url) or (url.startswith(("/", "file:")) and not allowed):
        check_url(url)
    elif url.startswith(STORE_SCHEMES):
        _check_object(url, allowed)
    else:
        _check_file(url, allowed)


def local_path(url: str) -> str:
    """The path of a local original, which may be a `file://` URL."""
    return url.removeprefix("file://")


def _check_object(url: str, allowed: Sequence[str]) -> None:
    bucket, *segments = url.partition("://")[2].split("/")
    if not bucket or not any(segments):
        raise EntryFailure(Reason.BAD_URL, "URL names no object; write s3://bucket/key")
    if not {"", ".", ".."}.isdisjoint(segments):
        raise EntryFailure(Reason.BAD_URL, "the key has an empty segment or a segment of dots")
    if ANYTHING not in allowed and not any(_is_inside(url, each) for each in allowed):
        raise EntryFailure(
            Reason.ACCESS_DENIED,
            f"originals in bucket {bucket!r} may not be read; IMGRELAY_ORIGINALS lists those that may",
        )


def _check_file(url: str, allowed: Sequence[str]) -> None:
    path = local_path(url)
    if "\0" in path:
        raise EntryFailure(Reason.BAD_URL, "the path contains a null byte")
    resolved = os.path.realpath(path)
    folders = [os.path.realpath(local_path(each)) for each in allowed if not each.startswith(STORE_SCHEMES)]
    if ANYTHING not in allowed and not any(_is_inside(resolved, folder) for folder in folders):
        raise EntryFailure(
            Reason.ACCESS_DENIED, "local originals outside the folders in IMGRELAY_ORIGINALS may not be read"
        )


def _is_inside(address: str, allowed: str) -> bool:
    place = allowed.rstrip("/")
    return address == place or address.startswith(f"{place}/")
