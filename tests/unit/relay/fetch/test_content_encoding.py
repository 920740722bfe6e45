"""Decoding Content-Encoding: stacked codings, wrong labels, bombs."""

import gzip

import brotli
import pytest

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.content_encoding import MAX_CODINGS, create_decoder
from imgrelay_dagster.relay.outcomes import Reason

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20
LIMIT = 1_000_000


def _decode(label: str, body: bytes, limit: int = LIMIT) -> bytes:
    decoder = create_decoder(label, limit)
    if decoder is None:
        return body
    decoded = b"".join(b"".join(decoder.feed(body[start : start + 100])) for start in range(0, len(body), 100))
    decoder.finish()
    return decoded


@pytest.mark.parametrize(
    ("label", "body"),
    [
        ("gzip, br", brotli.compress(gzip.compress(JPEG))),
        ("BR,gzip , gzip", gzip.compress(gzip.compress(brotli.compress(JPEG)))),
        ("identity, x-gzip", gzip.compress(JPEG)),
        ("aws-chunked,gzip", gzip.compress(JPEG)),
        *((label, JPEG) for label in ("", "identity", "utf-8", "none", "no-such-coding", "gzip", "br", "zstd")),
    ],
)
def test_codings_are_undone_in_reverse_and_wrong_labels_do_no_harm(label: str, body: bytes) -> None:
    assert _decode(label, body) == JPEG


@pytest.mark.parametrize(
    ("label", "body", "reason"),
    [
        ("compress", b"\x1f\x9d\x90" * 50, Reason.UNSUPPORTED_FORMAT),
        (", ".join(["gzip"] * (MAX_CODINGS + 1)), b"", Reason.UNSUPPORTED_FORMAT),
        ("gzip", gzip.compress(bytes(LIMIT + 1)), Reason.TOO_LARGE),
        # The inner coding decodes to nothing at all, however much the outer one makes.
        ("gzip, gzip", gzip.compress(gzip.compress(b"") * 100_000), Reason.TOO_LARGE),
    ],
)
def test_what_cannot_be_undone_is_named(label: str, body: bytes, reason: Reason) -> None:
    with pytest.raises(EntryFailure) as caught:
        _decode(label, body)
    assert caught.value.reason is reason
    if reason is Reason.UNSUPPORTED_FORMAT and label == "compress":
        assert "'compress'" in caught.value.detail
