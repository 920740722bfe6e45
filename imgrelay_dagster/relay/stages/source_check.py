"""Checks that a downloaded image is the one that the manifest means, and none of those that are to be rejected."""

import hashlib
from collections.abc import Mapping, Set

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason


def source_digest(data: bytes, expected: Mapping[str, str], rejected: Set[str]) -> str:
    """The SHA-256 (hex) of a downloaded body.

    Args:
        expected: `sha256` and `md5` in hex and `size` in bytes, as far as the manifest gives them.
        rejected: SHA-256 digests of bodies that are no images of their URLs, such as a shop's placeholder.

    Raises:
        EntryFailure: `checksum_mismatch` or `rejected_source`.
    """
    digest = hashlib.sha256(data).hexdigest()
    size = expected.get("size")
    if size is not None and len(data) != int(size):
        raise _mismatch("size", f"{int(size):,} bytes", f"{len(data):,}")
    if expected.get("sha256", digest) != digest:
        raise _mismatch("SHA-256", expected["sha256"], digest)
    if "md5" in expected:
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if md5 != expected["md5"]:
            raise _mismatch("MD5", expected["md5"], md5)
    if digest in rejected:
        raise EntryFailure(Reason.REJECTED_SOURCE, f"the image is one of reject_sources: SHA-256 {digest}")
    return digest


def _mismatch(what: str, expected: str, found: str) -> EntryFailure:
    return EntryFailure(Reason.CHECKSUM_MISMATCH, f"the manifest expects {what} {expected}, the server sent {found}")
