"""What the decoders of content codings have in common: the size of their chunks, and their failures."""

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason

CHUNK_SIZE = 64 * 1024
"""Bytes; maximum output of one decompression step, for Brotli about."""


def corrupt(coding: str) -> EntryFailure:
    """The failure of a body that is not of its coding."""
    return EntryFailure(Reason.CORRUPT_IMAGE, f"the body is not {coding} data")


def truncated(coding: str) -> EntryFailure:
    """The failure of a body that ends before its compressed data does."""
    return EntryFailure(Reason.TRUNCATED, f"the {coding} data is incomplete", transient=True)
